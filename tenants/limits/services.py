"""Services that change plans, limits and top-ups, for the console and the management API.

A changed amount is in force within a second; a changed time zone, start hour, period length or
anchor from the next window, because a running window keeps its end.
"""

from collections.abc import Iterable
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from kernel.publishing.publish import publish
from tenants.counters.top_ups import add_granted
from tenants.errors import LimitExists, PlanInUse, TopUpDiffers, WindowOver
from tenants.limits.effective import carrying_earlier_usage, ensure_window_rows, limits_topic
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
"""Maximum number of tenants that an error message lists."""


@transaction.atomic
def save_plan(*, plan: Plan) -> None:
    """Store a new or changed plan. Raises ValidationError."""
    plan.full_clean()
    plan.save()
    publish(limits_topic())


@transaction.atomic
def delete_plan(*, plan: Plan) -> None:
    """Delete a plan. Raises PlanInUse, which lists tenants, if any tenant is on it."""
    # The lock makes a concurrent assignment of the plan wait, or the query below finds it.
    Plan.objects.select_for_update().get(pk=plan.pk)
    slugs = list(Tenant.objects.filter(plan=plan).values_list("slug", flat=True))
    if slugs:
        raise PlanInUse(f"{names(slugs)} on this plan. Assign another plan to them first.")
    plan.delete()


def names(slugs: list[str]) -> str:
    """Return the beginning of a sentence: `acme and rival are`."""
    displayed, more = slugs[:MAX_NAMED_TENANTS], len(slugs) - MAX_NAMED_TENANTS
    if more > 0:
        return f"{', '.join(displayed)} and {more} more tenants are"
    *others, last = displayed
    return f"{', '.join(others)} and {last} are" if others else f"{last} is"


@transaction.atomic
def save_plan_rate_limit(*, rule: PlanRateLimit) -> None:
    """Store a rate limit of a plan. Raises ValidationError or LimitExists."""
    store(rule)
    publish(limits_topic())


@transaction.atomic
def save_plan_quota(*, rule: PlanQuota, now: datetime) -> None:
    """Store a quota of a plan; open windows stay. Raises ValidationError or LimitExists."""
    ensure_window_rows(plan_tenants(rule.plan_id), now=now)
    store(rule)
    publish(limits_topic())


@transaction.atomic
def delete_plan_limit(*, rule: PlanRateLimit | PlanQuota, now: datetime) -> None:
    """Delete a limit of a plan. Its open windows are closed when they end."""
    ensure_window_rows(plan_tenants(rule.plan_id), now=now)
    rule.delete()
    publish(limits_topic())


@transaction.atomic
def save_rate_limit(*, rule: RateLimit) -> None:
    """Store a rate limit of a tenant. Raises ValidationError or LimitExists."""
    with tenant_scope(rule.tenant_id):
        follow_rotations(rule)
        store(rule)
        publish(limits_topic(rule.tenant_id))


@transaction.atomic
def save_quota(*, rule: Quota, now: datetime) -> None:
    """Store a quota of a tenant; open windows keep their ends. Raises ValidationError, LimitExists.

    A new quota, or one that now counts other requests, starts with the usage of its window.
    """
    ensure_window_rows([rule.tenant_id], now=now)
    with tenant_scope(rule.tenant_id), carrying_earlier_usage(rule.tenant_id, now=now):
        follow_rotations(rule)
        store(rule)
        publish(limits_topic(rule.tenant_id))


@transaction.atomic
def delete_limit(*, rule: RateLimit | Quota, now: datetime) -> None:
    """Delete a tenant's own limit; the limit of its plan that it replaced is in force again."""
    ensure_window_rows([rule.tenant_id], now=now)
    with tenant_scope(rule.tenant_id):
        rule.delete()
        publish(limits_topic(rule.tenant_id))


@transaction.atomic
def set_plan(*, tenant: Tenant, plan: Plan | None, now: datetime) -> None:
    """Assign a plan, or none, to a tenant. Open windows keep their ends."""
    ensure_window_rows([tenant.pk], now=now)
    with carrying_earlier_usage(tenant.pk, now=now):
        tenant.plan = plan
        tenant.save(update_fields=["plan"])
    publish(limits_topic(tenant.pk))


def follow_rotations(rule: RateLimit | Quota) -> None:
    """Point a limit of a rotated key to its newest successor, so that the limit is unique."""
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
    """Add `amount` to the limit of a counter in a window that has not ended.

    `counter` and `window` are as in QuotaUsage. `key` is an idempotency key: a second call with it
    returns the row of the first one. Raises ValidationError, WindowOver, or TopUpDiffers if the key
    belongs to another top-up.
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
    """Return whether a window has ended. Raises ValidationError for an invalid id."""
    try:
        return window_of_id(window).end <= now
    except (ValueError, OverflowError) as error:
        raise ValidationError({"window": "Not a window id."}) from error


def earlier_of(top_up: QuotaTopUp) -> QuotaTopUp:
    """Return the top-up with the same key. Raises TopUpDiffers if its values differ."""
    earlier = QuotaTopUp.objects.get(key=top_up.key)
    for name in ("counter", "window", "amount"):
        if getattr(earlier, name) != getattr(top_up, name):
            raise TopUpDiffers
    return earlier
