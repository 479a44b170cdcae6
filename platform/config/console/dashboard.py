"""What an operator sees first: today's work, failures, the fleet, the latest requests."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import redis
from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from agents.rollouts.evaluation import rollouts_in_trouble
from config.console.fleet_summary import summarise_fleet
from config.worker_heartbeat import heartbeat_age
from inference.admin.chart import Chart, draw_bars
from inference.models import ModelEndpoint
from kernel.admin.formatting import separated
from tenants.ledger.usage_queries import requests_by_hour, summarise_usage
from tenants.models import Tenant, UsageEvent

LATEST = 8
HOURS = 24
DEAF_SECONDS = 60
STATES = {
    "ready": "success",
    "unhealthy": "danger",
    "draining": "warning",
    "expired": "danger",
}


def describe_platform(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The dashboard's numbers, in fewer than ten queries."""
    now = timezone.now()
    return {
        **context,
        "title": "Dashboard",
        "today": now.date(),
        "cards": usage_cards(now),
        "endpoints": endpoints_by_state(),
        "fleet": summarise_fleet(),
        "hours": draw_hours(now),
        "rollouts": rollouts_in_trouble(),
        "latest": UsageEvent.objects.select_related("tenant", "api_key")[:LATEST],
        "worker": worker_state(),
        "is_empty": not Tenant.objects.exists(),
    }


def usage_cards(now: datetime) -> list[dict[str, Any]]:
    """Four numbers about the day that began at midnight UTC."""
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
    points = [(hour.timestamp(), float(counts.get(hour, 0))) for hour in hours]
    return draw_bars("Requests by hour", points, seconds=3600, unit="requests")


def worker_state() -> dict[str, str]:
    """Whether Celery consumes, in words."""
    try:
        age = heartbeat_age()
    except redis.RedisError:
        return {"colour": "danger", "text": "unknown: the cache does not answer"}
    if age is None:
        return {"colour": "warning", "text": "no task was consumed yet: start a worker and beat"}
    if age > DEAF_SECONDS:
        return {"colour": "danger", "text": f"no task for {age:,.0f} s"}
    return {"colour": "success", "text": f"last task {age:.0f} s ago"}
