"""The dashboard: usage and failures of today, the fleet, the latest requests."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import redis
from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from agents.rollouts.evaluation import regressed_rollouts
from config.console.fleet_summary import summarise_fleet
from config.worker_heartbeat import heartbeat_age
from inference.models import ModelEndpoint
from kernel.admin.chart_axes import format_tick_time, format_time
from kernel.admin.charts import Category, Chart, Layer, bar_chart
from kernel.admin.formatting import separated
from tenants.ledger.usage_queries import requests_by_hour, summarise_usage
from tenants.models import Tenant, UsageEvent

LATEST = 8
HOURS = 24
MAX_HEARTBEAT_AGE_SECONDS = 60
STATES = {
    "ready": "success",
    "unhealthy": "danger",
    "draining": "warning",
    "expired": "danger",
}


def describe_platform(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the dashboard, in fewer than ten queries."""
    now = timezone.now()
    return {
        **context,
        "title": "Dashboard",
        "today": now.date(),
        "cards": usage_cards(now),
        "endpoints": endpoints_by_state(),
        "fleet": summarise_fleet(),
        "hours": draw_hours(now),
        "rollouts": regressed_rollouts(),
        "latest": UsageEvent.objects.select_related("tenant", "api_key")[:LATEST],
        "worker": worker_state(),
        "is_empty": not Tenant.objects.exists(),
    }


def usage_cards(now: datetime) -> list[dict[str, Any]]:
    """Return four figures about the current day, which starts at midnight UTC."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    sums = summarise_usage(since=midnight)
    usage = reverse("admin:tenants_usageevent_changelist")
    share = f"{sums.failed / sums.requests:.1%} of today's requests" if sums.requests else "none"
    return [
        {"title": "Requests today", "value": separated(sums.requests), "link": usage},
        {
            "title": "Tokens today",
            "value": separated(sums.prompt_tokens + sums.completion_tokens),
            "detail": f"{separated(sums.prompt_tokens)} in, "
            f"{separated(sums.completion_tokens)} out",
            "link": usage,
        },
        {
            "title": "Failures today",
            "value": separated(sums.failed),
            "detail": share,
            "link": f"{usage}?status__exact=failed",
            "alarming": sums.failed > 0,
        },
        {
            "title": "Active tenants today",
            "value": separated(sums.tenants),
            "link": reverse("admin:tenants_tenant_changelist"),
        },
    ]


def endpoints_by_state() -> list[dict[str, Any]]:
    counted = ModelEndpoint.objects.order_by().values_list("state").annotate(rows=Count("pk"))
    counts = Counter(dict(counted))
    return [
        {"state": state, "count": counts[state], "colour": colour if counts[state] else ""}
        for state, colour in STATES.items()
    ]


def draw_hours(now: datetime) -> Chart | None:
    """Requests of each of the last 24 hours."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    begins = this_hour - timedelta(hours=HOURS - 1)
    counts = requests_by_hour(since=begins)
    hours = [begins + timedelta(hours=number) for number in range(HOURS)]
    times = [hour.timestamp() for hour in hours]
    return bar_chart(
        "Requests by hour",
        [Category(label=format_tick_time(at), description=format_time(at)) for at in times],
        [Layer(css="running", label="", values=[counts.get(hour, 0) for hour in hours])],
        axis_label="Hour (UTC)",
        unit="requests",
    )


def worker_state() -> dict[str, str]:
    """Return a text on whether Celery consumes tasks."""
    try:
        age = heartbeat_age()
    except redis.RedisError:
        return {"colour": "danger", "text": "unknown: Redis is unavailable"}
    if age is None:
        return {"colour": "warning", "text": "no task was consumed yet: start a worker and beat"}
    if age > MAX_HEARTBEAT_AGE_SECONDS:
        return {"colour": "danger", "text": f"no task for {age:,.0f} s"}
    return {"colour": "success", "text": f"last task {age:.0f} s ago"}
