"""The limits in force for a tenant: its own, and those of its plan that it does not override."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from kernel.storage.database import UNAVAILABLE
from tenants.admission.limits.rules import QuotaRule, RateRule, TenantLimits
from tenants.counters.top_ups import push_on_commit
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
StoredRule = tuple[Rule, Row]

EVERY_TENANT = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOrigin:
    """A rule with its source row, and whether it is in force."""

    rule: Rule
    row: Row
    overridden: bool = False
    """Whether a rule of the tenant replaces this rule of the plan."""
    except_for: tuple[str, ...] = ()
    """Sources of the overrides for single keys or members, such as `key Laptop`."""


def limits_topic(tenant_id: int = EVERY_TENANT) -> str:
    """Return the topic that makes gateways reload the limits of a tenant, by default of all."""
    return f"limits:{tenant_id}"


def load_limits(tenant_id: int, *, now: datetime) -> TenantLimits:
    """Return the limits in force, each quota with its running window; open missing windows.

    Runs six queries. Raises LimitsUnknown if the tenant does not exist or PostgreSQL is
    unavailable.
    """
    try:
        with tenant_scope(tenant_id):
            tenant = Tenant.objects.select_related("plan").filter(pk=tenant_id).first()
            if tenant is None:
                raise LimitsUnknown
            return limits_of(tenant, now=now)
    except UNAVAILABLE as error:
        raise LimitsUnknown from error


def ensure_window_rows(tenant_ids: Iterable[int], *, now: datetime) -> None:
    """Create missing rows of open windows before limits change, so that their ends stay.

    Few rows are missing, because loading limits and a periodic task create them too.
    """
    with every_tenant():
        behind = tenants_behind(tenant_ids, now=now)
    for tenant_id in behind:
        load_limits(tenant_id, now=now)


@contextmanager
def carrying_earlier_usage(tenant_id: int, *, now: datetime) -> Iterator[None]:
    """Let a tenant's limits change, then carry earlier usage into quotas that the change added.

    Applies to added quotas whose window is already open. For other added quotas the usage is
    carried when their first window is opened; unchanged quotas keep their counters.
    """
    before = {quota.slot for quota in quotas_in_force(tenant_id)}
    yield
    with tenant_scope(tenant_id):
        open_now = newest_windows(open_rows(tenant_id))
        added = {
            quota: open_now[quota.slot]
            for quota in quotas_in_force(tenant_id)
            if is_running(open_now.get(quota.slot), now)
            and not before & {quota.slot, shared_slot(quota)}
        }
        push_on_commit(carry_counters(tenant_id, added, now=now))


def quotas_in_force(tenant_id: int) -> list[QuotaRule]:
    """Return the quotas in force, without their windows."""
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
        default_max_completion_tokens=(tenant.plan or Plan()).default_max_completion_tokens,
        weight=(tenant.plan or Plan()).weight,
    )


def in_force(origins: Sequence[RuleOrigin], kind: type[AnyRule]) -> list[AnyRule]:
    rules = (origin.rule for origin in origins if not origin.overridden)
    return [rule for rule in rules if isinstance(rule, kind)]


def limits_with_origin(tenant: Tenant) -> list[RuleOrigin]:
    """Return every limit of a tenant and its plan: rates first, the plan's before the tenant's."""
    with tenant_scope(tenant.pk):
        return [*rates_with_origin(tenant), *quotas_with_origin(tenant)]


def rates_with_origin(tenant: Tenant) -> list[RuleOrigin]:
    own_rows = RateLimit.objects.select_related("api_key", "member__user")
    plan = tenant.plan
    plans = [(rate_of_plan(row, plan), row) for row in plan.rate_limits.all()] if plan else []
    return compare(plans, [(own_rate(row), row) for row in own_rows])


def quotas_with_origin(tenant: Tenant) -> list[RuleOrigin]:
    own_rows = Quota.objects.select_related("api_key", "member__user")
    plan, zone = tenant.plan, tenant.time_zone
    plan_rows = plan.quotas.all() if plan else ()
    plans = [(quota_of_plan(row, plan, time_zone=zone), row) for row in plan_rows if plan]
    return compare(plans, [(own_quota(row, time_zone=zone), row) for row in own_rows])


def compare(plans: Sequence[StoredRule], own: Sequence[StoredRule]) -> list[RuleOrigin]:
    """Return each rule with the information which other rules apply in its place."""
    replaced = {override_slot(rule) for rule, _ in own if not is_for_one(rule)}
    exceptions = [rule for rule, _ in own if is_for_one(rule)]
    return [
        *(
            origin(*each, exceptions, overridden=override_slot(each[0]) in replaced)
            for each in plans
        ),
        *(origin(*each, exceptions) for each in own),
    ]


def origin(
    rule: Rule, row: Row, exceptions: Sequence[Rule], *, overridden: bool = False
) -> RuleOrigin:
    others = () if is_for_one(rule) else exceptions
    except_for = tuple(each.source for each in others if override_slot(each) == override_slot(rule))
    return RuleOrigin(rule=rule, row=row, overridden=overridden, except_for=except_for)


def is_for_one(rule: Rule) -> bool:
    """Return whether a rule is for a single key or member."""
    return rule.key_id is not None or rule.member_id is not None


def override_slot(rule: Rule) -> tuple[str, ...]:
    """Return the identity by which one rule replaces another.

    A rule in shadow mode replaces only rules in shadow mode, so that enforced limits stay in force
    while another one is tried.
    """
    slot = (rule.scope(rule.per),)
    return (*slot, rule.unit, rule.calendar.period) if isinstance(rule, QuotaRule) else slot
