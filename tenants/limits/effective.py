"""Which limits are in force for a tenant: its plan's, less what it overrides, and its own."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from kernel.storage.database import UNAVAILABLE
from tenants.admission.limits.rules import QuotaRule, RateRule, TenantLimits
from tenants.errors import LimitsUnknown
from tenants.ledger.usage_before import carry_counters
from tenants.limits.rows import own_quota, own_rate, quota_of_plan, rate_of_plan
from tenants.limits.window_rows import (
    is_running,
    newest_windows,
    open_rows,
    open_windows,
    shared_slot,
    tenants_behind,
)
from tenants.models import Plan, PlanQuota, PlanRateLimit, Quota, RateLimit, Tenant
from tenants.scoping import every_tenant, tenant_scope

AnyRule = TypeVar("AnyRule", RateRule, QuotaRule)
Rule = RateRule | QuotaRule
Row = PlanRateLimit | PlanQuota | RateLimit | Quota
Written = tuple[Rule, Row]

EVERY_TENANT = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A rule with where it is written, and whether it is in force."""

    rule: Rule
    row: Row
    overridden: bool = False
    """A rule of the plan that the tenant's own one of the same slot replaces."""
    except_for: tuple[str, ...] = ()
    """Sources of rules for one key or member each, which apply instead: `key Laptop`."""


def limits_topic(tenant_id: int = EVERY_TENANT) -> str:
    """What gateways follow to load a tenant's limits anew; by default those of every tenant."""
    return f"limits:{tenant_id}"


def load_limits(tenant_id: int, *, now: datetime) -> TenantLimits:
    """The limits in force, each quota with its running window, which it keeps to its end.

    Six queries. A window that is missing is opened. Raises LimitsUnknown if there is
    no such tenant or PostgreSQL does not answer.
    """
    try:
        with tenant_scope(tenant_id):
            tenant = Tenant.objects.select_related("plan").filter(pk=tenant_id).first()
            if tenant is None:
                raise LimitsUnknown
            return limits_of(tenant, now=now)
    except UNAVAILABLE as error:
        raise LimitsUnknown from error


def keep_windows(tenant_ids: Iterable[int], *, now: datetime) -> None:
    """Before a change: give the windows that run now their rows, so that they end as they began.

    Nothing to do for nearly all tenants, because loading limits and Celery do the same.
    """
    with every_tenant():
        behind = tenants_behind(tenant_ids, now=now)
    for tenant_id in behind:
        load_limits(tenant_id, now=now)


@contextmanager
def counting_from_the_start(tenant_id: int, *, now: datetime) -> Iterator[None]:
    """Around a change of a tenant's limits: quotas that come back begin with what was used in their
    windows, which run already. Other new ones do so when their first window is opened; those that
    counted the same requests before go on as they are.
    """
    before = {quota.slot for quota in quotas_in_force(tenant_id)}
    yield
    with tenant_scope(tenant_id):
        open_now = newest_windows(open_rows(tenant_id))
        came = {
            quota: open_now[quota.slot]
            for quota in quotas_in_force(tenant_id)
            if is_running(open_now.get(quota.slot), now)
            and not before & {quota.slot, shared_slot(quota)}
        }
        carry_counters(tenant_id, came, now=now)


def quotas_in_force(tenant_id: int) -> list[QuotaRule]:
    """Without their windows."""
    with tenant_scope(tenant_id):
        tenant = Tenant.objects.select_related("plan").get(pk=tenant_id)
        return in_force(quotas_with_origin(tenant), QuotaRule)


def limits_of(tenant: Tenant, *, now: datetime) -> TenantLimits:
    rates = in_force(rates_with_origin(tenant), RateRule)
    quotas = in_force(quotas_with_origin(tenant), QuotaRule)
    windows = open_windows(tenant.pk, quotas, now=now)
    return TenantLimits(
        tenant_id=tenant.pk,
        rates=tuple(rates),
        quotas=tuple(replace(quota, pinned=windows[quota.slot]) for quota in quotas),
        longest_answer=(tenant.plan or Plan()).longest_answer,
        weight=(tenant.plan or Plan()).weight,
    )


def in_force(origins: Sequence[Origin], kind: type[AnyRule]) -> list[AnyRule]:
    rules = (origin.rule for origin in origins if not origin.overridden)
    return [rule for rule in rules if isinstance(rule, kind)]


def limits_with_origin(tenant: Tenant) -> list[Origin]:
    """Every limit of a tenant and its plan, for people: rates first, the plan's before its own."""
    with tenant_scope(tenant.pk):
        return [*rates_with_origin(tenant), *quotas_with_origin(tenant)]


def rates_with_origin(tenant: Tenant) -> list[Origin]:
    own_rows = RateLimit.objects.select_related("api_key", "member__user")
    plan = tenant.plan
    plans = [(rate_of_plan(row, plan), row) for row in plan.rate_limits.all()] if plan else []
    return compare(plans, [(own_rate(row), row) for row in own_rows])


def quotas_with_origin(tenant: Tenant) -> list[Origin]:
    own_rows = Quota.objects.select_related("api_key", "member__user")
    plan, zone = tenant.plan, tenant.time_zone
    plan_rows = plan.quotas.all() if plan else ()
    plans = [(quota_of_plan(row, plan, time_zone=zone), row) for row in plan_rows if plan]
    return compare(plans, [(own_quota(row, time_zone=zone), row) for row in own_rows])


def compare(plans: Sequence[Written], own: Sequence[Written]) -> list[Origin]:
    """Say of each rule which other ones apply in its place."""
    replaced = {place(rule) for rule, _ in own if not is_for_one(rule)}
    exceptions = [rule for rule, _ in own if is_for_one(rule)]
    return [
        *(origin(*each, exceptions, overridden=place(each[0]) in replaced) for each in plans),
        *(origin(*each, exceptions) for each in own),
    ]


def origin(rule: Rule, row: Row, exceptions: Sequence[Rule], *, overridden: bool = False) -> Origin:
    others = () if is_for_one(rule) else exceptions
    except_for = tuple(each.source for each in others if place(each) == place(rule))
    return Origin(rule=rule, row=row, overridden=overridden, except_for=except_for)


def is_for_one(rule: Rule) -> bool:
    """Whether it is for one key or member only."""
    return rule.key_id is not None or rule.member_id is not None


def place(rule: Rule) -> tuple[str, ...]:
    """What two rules share of which one replaces the other. A rule in shadow mode shares it with
    those in shadow mode only: whoever tries a limit keeps those that are enforced.
    """
    place = (rule.scope(rule.per),)
    return (*place, rule.unit, rule.calendar.period) if isinstance(rule, QuotaRule) else place
