"""Everything that changes plans, limits and what is granted on top. Edges call these.

A change of a limit's amount is in force within a second; one of its zone, start hour, period
length or anchor from the next window, because running windows are rows by then.
"""

from collections.abc import Iterable
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from kernel.publishing.publish import publish
from tenants.errors import LimitExists, PlanInUse, TopUpDiffers, WindowOver
from tenants.limits.effective import counting_from_the_start, keep_windows, limits_topic
from tenants.limits.top_ups import add_granted
from tenants.models import (
    ApiKey,
    Plan,
    PlanQuota,
    PlanRateLimit,
    Quota,
    QuotaTopUp,
    RateLimit,
    Tenant,
    User,
)
from tenants.scoping import tenant_scope
from tenants.windows import window_of_id

MAX_NAMED_TENANTS = 10
"""Tenants that a refusal lists."""


@transaction.atomic
def save_plan(*, plan: Plan) -> None:
    """Store a new or changed plan. Raises ValidationError for values that no form would accept."""
    plan.full_clean()
    plan.save()
    publish(limits_topic())


@transaction.atomic
def delete_plan(*, plan: Plan) -> None:
    """Raises PlanInUse, naming tenants, if any is on the plan."""
    # A tenant that is put on it at the same time waits here, or is seen.
    Plan.objects.select_for_update().get(pk=plan.pk)
    slugs = list(Tenant.objects.filter(plan=plan).values_list("slug", flat=True))
    if slugs:
        raise PlanInUse(f"{names(slugs)} on this plan. Give them another one first.")
    plan.delete()


def names(slugs: list[str]) -> str:
    """`acme and rival are`, for the beginning of a sentence."""
    shown, more = slugs[:MAX_NAMED_TENANTS], len(slugs) - MAX_NAMED_TENANTS
    if more > 0:
        return f"{', '.join(shown)} and {more} more tenants are"
    *others, last = shown
    return f"{', '.join(others)} and {last} are" if others else f"{last} is"


@transaction.atomic
def save_plan_rate_limit(*, rule: PlanRateLimit) -> None:
    """Store a rate limit of a plan. Raises ValidationError, and LimitExists."""
    store(rule)
    publish(limits_topic())


@transaction.atomic
def save_plan_quota(*, rule: PlanQuota, now: datetime) -> None:
    """Store a quota of a plan; running windows go on. Raises ValidationError, and LimitExists."""
    keep_windows(plan_tenants(rule.plan_id), now=now)
    store(rule)
    publish(limits_topic())


@transaction.atomic
def delete_plan_limit(*, rule: PlanRateLimit | PlanQuota, now: datetime) -> None:
    """Take a limit out of a plan. Its running windows become history when they end."""
    keep_windows(plan_tenants(rule.plan_id), now=now)
    rule.delete()
    publish(limits_topic())


@transaction.atomic
def save_rate_limit(*, rule: RateLimit) -> None:
    """Store a rate limit of a tenant. Raises ValidationError, and LimitExists."""
    with tenant_scope(rule.tenant_id):
        follow_rotations(rule)
        store(rule)
        publish(limits_topic(rule.tenant_id))


@transaction.atomic
def save_quota(*, rule: Quota, now: datetime) -> None:
    """Store a quota of a tenant; running windows go on. A quota that is new, or counts something
    else than before, begins with what was used in its window. Raises ValidationError, LimitExists.
    """
    keep_windows([rule.tenant_id], now=now)
    with tenant_scope(rule.tenant_id), counting_from_the_start(rule.tenant_id, now=now):
        follow_rotations(rule)
        store(rule)
        publish(limits_topic(rule.tenant_id))


@transaction.atomic
def delete_limit(*, rule: RateLimit | Quota, now: datetime) -> None:
    """Take a tenant's own limit away; its plan's of the same kind, if any, is in force again."""
    keep_windows([rule.tenant_id], now=now)
    with tenant_scope(rule.tenant_id):
        rule.delete()
        publish(limits_topic(rule.tenant_id))


@transaction.atomic
def set_plan(*, tenant: Tenant, plan: Plan | None, now: datetime) -> None:
    """Put a tenant on a plan, or on none. Windows that run already end as they began."""
    keep_windows([tenant.pk], now=now)
    with counting_from_the_start(tenant.pk, now=now):
        tenant.plan = plan
        tenant.save(update_fields=["plan"])
    publish(limits_topic(tenant.pk))


def follow_rotations(rule: RateLimit | Quota) -> None:
    """A limit of a key is one of its lineage, written at the newest: so there are no two of it."""
    if rule.api_key is not None:
        newest = ApiKey.objects.of_lineage(rule.api_key.pk).last()
        rule.api_key = newest or rule.api_key


def store(rule: PlanRateLimit | PlanQuota | RateLimit | Quota) -> None:
    rule.full_clean(validate_constraints=False)
    try:
        with transaction.atomic():
            rule.save()
    except IntegrityError as error:
        raise LimitExists from error


def plan_tenants(plan_id: int) -> Iterable[int]:
    return Tenant.objects.filter(plan_id=plan_id).values_list("pk", flat=True)


@transaction.atomic
def grant_top_up(
    *,
    tenant_id: int,
    counter: str,
    window: str,
    amount: int,
    reason: str,
    by: User | None,
    now: datetime,
    key: str = "",
) -> QuotaTopUp:
    """Add `amount` to what a counter may reach in a window that is not over.

    `counter` and `window` are as in QuotaUsage and in a gateway's QuotaStatus. A `key` makes it
    safe to ask twice: the second call answers with the first one's row. Raises ValidationError,
    WindowOver, and TopUpDiffers if the key stands for another top-up.
    """
    top_up = QuotaTopUp(
        tenant_id=tenant_id,
        counter=counter,
        window=window,
        amount=amount,
        reason=reason,
        granted_by=by,
        key=key,
    )
    top_up.full_clean(exclude=("granted_by",), validate_constraints=False)
    if has_ended(window, now=now):
        raise WindowOver
    with tenant_scope(tenant_id):
        try:
            with transaction.atomic():
                top_up.save()
        except IntegrityError:
            return earlier_of(top_up)
    add_granted(tenant_id=tenant_id, counter=counter, window=window, amount=amount)
    return top_up


def has_ended(window: str, *, now: datetime) -> bool:
    """Raises ValidationError for a text that is no window's id."""
    try:
        return window_of_id(window).end <= now
    except (ValueError, OverflowError) as error:
        raise ValidationError({"window": "This is not the id of a window."}) from error


def earlier_of(top_up: QuotaTopUp) -> QuotaTopUp:
    """The row that has the same key. Raises TopUpDiffers if it grants something else."""
    earlier = QuotaTopUp.objects.get(key=top_up.key)
    for name in ("counter", "window", "amount"):
        if getattr(earlier, name) != getattr(top_up, name):
            raise TopUpDiffers
    return earlier
