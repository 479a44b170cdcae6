"""A tenant's limits as the template draws them: words, numbers, colours and addresses."""

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
from tenants.limits.effective import Origin
from tenants.limits.formatting import number_words, quota_words, rate_words, reach_words, time_left
from tenants.limits.report import LimitsReport, QuotaLine, RateLine
from tenants.limits.status import ScopeUsage
from tenants.models import PlanQuota, PlanRateLimit, Quota

"""The parameter that says from where a form was opened, and `limits` is this page."""
MINUTES = "%Y-%m-%d %H:%M"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One counter, or the running requests of one scope."""

    name: str
    numbers: str
    percent: int | None
    """Of the limit; above 100 if a soft quota was passed."""
    used_width: int
    held_width: int
    colour: str
    top_up: str = ""
    """The address of its top-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitView:
    """One limit."""

    title: str
    reach: str
    source: str
    mode: str
    overridden_by: str
    except_for: tuple[str, ...]
    edit: str
    override: str
    bars: tuple[Bar, ...]
    more: str
    resets: str = ""
    resets_in: str = ""


def view_limits(
    report: LimitsReport, *, names: Mapping[str, str]
) -> dict[str, tuple[LimitView, ...]]:
    """`names` are those of keys and members, by owner."""
    return {
        "quotas": tuple(view_quota(line, report, names) for line in report.quotas),
        "rates": tuple(view_rate(line, report, names) for line in report.rates),
    }


def view_quota(line: QuotaLine, report: LimitsReport, names: Mapping[str, str]) -> LimitView:
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


def common(line: QuotaLine | RateLine, report: LimitsReport) -> dict[str, Any]:
    rule = line.rule
    owner = f"{rule.per}:{rule.key_id or rule.member_id}"
    single = rule.source if owner != f"{rule.per}:None" else ""
    return {
        "reach": reach_words(per=rule.per, route=rule.route, door=rule.door, whose=single),
        "source": rule.source,
        "overridden_by": line.overridden_by,
        "except_for": line.origin.except_for,
        "edit": edit_address(line.origin),
        "override": override_address(line.origin, report.tenant.pk),
    }


def quota_bar(
    line: QuotaLine, counted: ScopeUsage, report: LimitsReport, names: Mapping[str, str]
) -> Bar:
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
    asked = urlencode({"counter": counted.counter, "window": line.window.id})
    return Bar(
        name=names.get(counted.owner, counted.owner),
        numbers=" · ".join(parts),
        percent=int(100 * counted.total / allowed),
        used_width=share(counted.used, allowed),
        held_width=min(100 - share(counted.used, allowed), share(counted.held or 0, allowed)),
        colour=colour_of(line.rule, counted.total, allowed),
        top_up=f"{reverse('admin:tenants_tenant_top_up', args=(report.tenant.pk,))}?{asked}",
    )


def running_bar(rule: RateRule, counted: ScopeUsage, names: Mapping[str, str]) -> Bar:
    running, most = counted.running, rule.concurrency
    known = "unknown" if running is None else separated(running)
    parts = [f"{known} running" + (f" of {separated(most)}" if most else "")]
    for unit, left in (("requests", counted.requests_left), ("tokens", counted.tokens_left)):
        if left is not None:
            parts.append(f"{separated(left)} {unit} may come at once")
    return Bar(
        name=names.get(counted.owner, counted.owner),
        numbers=" · ".join(parts),
        percent=int(100 * (running or 0) / most) if most and running is not None else None,
        used_width=share(running or 0, most) if most else 0,
        held_width=0,
        colour="danger" if most and running and running >= most else "",
    )


def share(part: int, whole: int) -> int:
    """Percent, for a bar that is full at 100 and shows the first token."""
    return min(100, -(-100 * part // whole)) if whole else 0


def colour_of(rule: QuotaRule, total: int, allowed: int) -> str:
    if total >= allowed:
        return "danger"
    first = min(rule.alert_at, default=80)
    return "warning" if 100 * total >= first * allowed else ""


def reset_words(line: QuotaLine, zone: str) -> str:
    """The moment in the quota's zone, and in UTC unless that is the same."""
    if line.window is None:
        return ""
    local = line.window.end.astimezone(ZoneInfo(zone))
    utc = f"{line.window.end.astimezone(UTC):{MINUTES}} UTC"
    return utc if zone == "UTC" else f"{local:{MINUTES}} in {zone} ({utc})"


def more_words(more: int, rule: QuotaRule | RateRule) -> str:
    return f"and {separated(more)} more {rule.per}s with less" if more else ""


def edit_address(origin: Origin) -> str:
    """A plan's rules are edited on the plan's page."""
    if isinstance(origin.row, PlanRateLimit | PlanQuota):
        return reverse("admin:tenants_plan_change", args=(origin.row.plan_id,))
    page = "quota" if isinstance(origin.row, Quota) else "ratelimit"
    address = reverse(f"admin:tenants_{page}_change", args=(origin.row.pk,))
    return f"{address}?{FROM}=limits"


def override_address(origin: Origin, tenant_id: int) -> str:
    """A form for a limit of the tenant itself, filled in with what the plan says."""
    row = origin.row
    if not isinstance(row, PlanRateLimit | PlanQuota):
        return ""
    page, fields = (
        ("quota", QUOTA_FIELDS) if isinstance(row, PlanQuota) else ("ratelimit", RATE_FIELDS)
    )
    filled = {name: as_parameter(shown(row, name)) for line in fields for name in line}
    asked = urlencode({"tenant": tenant_id, FROM: "limits", **filled})
    return f"{reverse(f'admin:tenants_{page}_add')}?{asked}"


def shown(row: PlanRateLimit | PlanQuota, name: str) -> Any:
    """A value as its form shows it."""
    value = getattr(row, name)
    if name in AMOUNTS and value is not None and isinstance(row, PlanQuota):
        return typed_amount(value, unit=row.unit)
    return value


def as_parameter(value: Any) -> str:
    """How an address fills in a field. An empty one unchecks a box."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return "" if value is None or value is False else "1" if value is True else str(value)


def owners_of(report: LimitsReport) -> set[str]:
    """Whose names a page needs."""
    listed = [line.counted.rows for line in report.quotas]
    listed += [line.running.rows for line in report.rates]
    return {each.owner for rows in listed for each in rows}
