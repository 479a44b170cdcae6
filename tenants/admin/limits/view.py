"""A tenant's limits prepared for the template: texts, numbers, colours and URLs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.urls import reverse

from kernel.admin.formatting import separated
from tenants.admin.limits.forms import AMOUNTS, QUOTA_FIELDS, RATE_FIELDS
from tenants.admin.limits.links import FROM
from tenants.admission.limits.rules import QuotaRule, RateRule
from tenants.limits.amounts import typed_amount
from tenants.limits.effective import RuleOrigin
from tenants.limits.formatting import number_words, quota_words, rate_words, reach_words, time_left
from tenants.limits.report import LimitsReport, QuotaReport, RateLine
from tenants.limits.status import ScopeUsage
from tenants.models import PlanQuota, PlanRateLimit, Quota

"""The parameter with the page from which a form was opened; `limits` is this page."""
MINUTES = "%Y-%m-%d %H:%M"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageBar:
    """The bar of one counter, or of the running requests of one scope."""

    name: str
    numbers: str
    percent: int | None
    """Percent of the limit; above 100 if a soft quota is exceeded."""
    used_width: int
    held_width: int
    colour: str
    top_up: str = ""
    """URL of the form that grants a top-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitView:
    """One limit with its bars."""

    title: str
    reach: str
    source: str
    mode: str
    overridden_by: str
    except_for: tuple[str, ...]
    edit: str
    override: str
    bars: tuple[UsageBar, ...]
    more: str
    resets: str = ""
    resets_in: str = ""


def view_limits(
    report: LimitsReport, *, names: Mapping[str, str]
) -> dict[str, tuple[LimitView, ...]]:
    """Return the limits by kind; `names` are the names of keys and members by owner."""
    return {
        "quotas": tuple(view_quota(line, report, names) for line in report.quotas),
        "rates": tuple(view_rate(line, report, names) for line in report.rates),
    }


def view_quota(line: QuotaReport, report: LimitsReport, names: Mapping[str, str]) -> LimitView:
    rule = line.rule
    calendar = rule.calendar
    return LimitView(
        title=quota_words(
            limit=rule.limit, unit=rule.unit, period=calendar.period, every=calendar.every
        ),
        mode="shadow" if rule.shadow else "hard" if rule.hard else "soft",
        bars=tuple(quota_bar(line, each, report, names) for each in line.counted.rows),
        more=more_words(line.counted.more, rule),
        resets=reset_words(line, calendar.zone),
        resets_in=time_left((line.window.end - report.now).total_seconds()) if line.window else "",
        **common(line, report),
    )


def view_rate(line: RateLine, report: LimitsReport, names: Mapping[str, str]) -> LimitView:
    rule = line.rule
    return LimitView(
        title=rate_words(
            requests_per_minute=rule.requests_per_minute,
            request_burst=rule.request_burst,
            tokens_per_minute=rule.tokens_per_minute,
            token_burst=rule.token_burst,
            concurrency=rule.concurrency,
        ),
        mode="shadow" if rule.shadow else "",
        bars=tuple(running_bar(rule, each, names) for each in line.running.rows),
        more=more_words(line.running.more, rule),
        **common(line, report),
    )


def common(line: QuotaReport | RateLine, report: LimitsReport) -> dict[str, Any]:
    rule = line.rule
    owner = f"{rule.per}:{rule.key_id or rule.member_id}"
    single = rule.source if owner != f"{rule.per}:None" else ""
    return {
        "reach": reach_words(
            per=rule.per, route=rule.route, request_kind=rule.request_kind, owner=single
        ),
        "source": rule.source,
        "overridden_by": line.overridden_by,
        "except_for": line.origin.except_for,
        "edit": edit_address(line.origin),
        "override": override_address(line.origin, report.tenant.pk),
    }


def quota_bar(
    line: QuotaReport, counted: ScopeUsage, report: LimitsReport, names: Mapping[str, str]
) -> UsageBar:
    unit, allowed = line.rule.unit, line.allowed(counted)
    parts = [f"{number_words(counted.used, unit)} used"]
    if counted.held is not None:
        parts.append(f"{number_words(counted.held, unit)} held")
    parts.append(f"{number_words(line.remaining(counted), unit)} left")
    if counted.granted:
        parts.append(f"{number_words(counted.granted, unit)} granted on top")
    if counted.carried:
        parts.append(f"about {number_words(counted.carried, unit)} of it before this quota")
    assert line.window is not None
    query = urlencode({"counter": counted.counter, "window": line.window.id})
    return UsageBar(
        name=names.get(counted.owner, counted.owner),
        numbers=" · ".join(parts),
        percent=int(100 * counted.total / allowed),
        used_width=share(counted.used, allowed),
        held_width=min(100 - share(counted.used, allowed), share(counted.held or 0, allowed)),
        colour=colour_of(line.rule, counted.total, allowed),
        top_up=f"{reverse('admin:tenants_tenant_top_up', args=(report.tenant.pk,))}?{query}",
    )


def running_bar(rule: RateRule, counted: ScopeUsage, names: Mapping[str, str]) -> UsageBar:
    running, limit = counted.running, rule.concurrency
    known = "unknown" if running is None else separated(running)
    parts = [f"{known} running" + (f" of {separated(limit)}" if limit else "")]
    for unit, left in (("requests", counted.requests_left), ("tokens", counted.tokens_left)):
        if left is not None:
            parts.append(f"{separated(left)} {unit} possible at once")
    return UsageBar(
        name=names.get(counted.owner, counted.owner),
        numbers=" · ".join(parts),
        percent=int(100 * (running or 0) / limit) if limit and running is not None else None,
        used_width=share(running or 0, limit) if limit else 0,
        held_width=0,
        colour="danger" if limit and running and running >= limit else "",
    )


def share(part: int, whole: int) -> int:
    """Return percent, at most 100, rounded up so that the first token is visible in a bar."""
    return min(100, -(-100 * part // whole)) if whole else 0


def colour_of(rule: QuotaRule, total: int, allowed: int) -> str:
    if total >= allowed:
        return "danger"
    first = min(rule.alert_at, default=80)
    return "warning" if 100 * total >= first * allowed else ""


def reset_words(line: QuotaReport, zone: str) -> str:
    """Format the time of the reset in the quota's zone, and in UTC unless that is the same."""
    if line.window is None:
        return ""
    local = line.window.end.astimezone(ZoneInfo(zone))
    utc = f"{line.window.end.astimezone(UTC):{MINUTES}} UTC"
    return utc if zone == "UTC" else f"{local:{MINUTES}} in {zone} ({utc})"


def more_words(more: int, rule: QuotaRule | RateRule) -> str:
    return f"and {separated(more)} more {rule.per}s with less" if more else ""


def edit_address(origin: RuleOrigin) -> str:
    """Return the URL that edits a rule: a plan's page, or the form of a tenant's own limit."""
    if isinstance(origin.row, PlanRateLimit | PlanQuota):
        return reverse("admin:tenants_plan_change", args=(origin.row.plan_id,))
    page = "quota" if isinstance(origin.row, Quota) else "ratelimit"
    address = reverse(f"admin:tenants_{page}_change", args=(origin.row.pk,))
    return f"{address}?{FROM}=limits"


def override_address(origin: RuleOrigin, tenant_id: int) -> str:
    """Return the URL of a form for a limit of the tenant with the values of the plan's limit."""
    row = origin.row
    if not isinstance(row, PlanRateLimit | PlanQuota):
        return ""
    page, fields = (
        ("quota", QUOTA_FIELDS) if isinstance(row, PlanQuota) else ("ratelimit", RATE_FIELDS)
    )
    filled = {name: as_parameter(form_value(row, name)) for line in fields for name in line}
    query = urlencode({"tenant": tenant_id, FROM: "limits", **filled})
    return f"{reverse(f'admin:tenants_{page}_add')}?{query}"


def form_value(row: PlanRateLimit | PlanQuota, name: str) -> Any:
    """Return a value in the format of its form field."""
    value = getattr(row, name)
    if name in AMOUNTS and value is not None and isinstance(row, PlanQuota):
        return typed_amount(value, unit=row.unit)
    return value


def as_parameter(value: Any) -> str:
    """Format a value as a URL parameter that fills in a field. An empty one unchecks a box."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return "" if value is None or value is False else "1" if value is True else str(value)


def owners_of(report: LimitsReport) -> set[str]:
    """Return the owners whose names a page needs."""
    listed = [line.counted.rows for line in report.quotas]
    listed += [line.running.rows for line in report.rates]
    return {each.owner for rows in listed for each in rows}
