"""The timed work of this context.

A job on the schedule looks for what is due, and hands every tenant to a task of its own, so that
one that fails holds up nobody else. Rows say what is due and who has it: a task may come twice
or hours late, and two schedulers may run at once.
"""

from celery import shared_task
from django.utils import timezone

from tenants import alerts, drift, key_expiry, notices, orphans, resets
from tenants.models import Tenant

SECONDS_TO_START = 60
"""A task that nobody took by then is dropped: the next look finds the same."""


@shared_task(ignore_result=True)
def reset_due_quotas(**_future: object) -> None:
    """Close windows that are over, and open the next ones."""
    for tenant_id in resets.tenants_to_reset(now=timezone.now()):
        reset_quotas.apply_async((tenant_id,), expires=SECONDS_TO_START)


@shared_task(ignore_result=True)
def reset_quotas(tenant_id: int, **_future: object) -> int:
    return resets.reset_quotas(tenant_id, now=timezone.now())


@shared_task(ignore_result=True)
def send_quota_alerts(**_future: object) -> None:
    """Tell of thresholds that were crossed."""
    for tenant_id in alerts.tenants_to_alert(now=timezone.now()):
        alert_tenant.apply_async((tenant_id,), expires=SECONDS_TO_START)


@shared_task(ignore_result=True)
def alert_tenant(tenant_id: int, **_future: object) -> int:
    return alerts.alert_tenant(tenant_id, now=timezone.now())


@shared_task(ignore_result=True)
def deliver_notices(**_future: object) -> None:
    """Try what is due; a failed try is due again after a pause that doubles."""
    for tenant_id, notice_id in notices.due_notices(now=timezone.now()):
        deliver_notice.apply_async((tenant_id, notice_id), expires=SECONDS_TO_START)


@shared_task(ignore_result=True, soft_time_limit=60)
def deliver_notice(tenant_id: int, notice_id: int, **_future: object) -> bool:
    return notices.deliver(tenant_id=tenant_id, notice_id=notice_id, now=timezone.now())


@shared_task(ignore_result=True)
def bill_orphans(**_future: object) -> int:
    """Bill requests whose worker died."""
    return orphans.bill_every_orphan()


@shared_task(ignore_result=True)
def reconcile(**_future: object) -> None:
    """Compare every sum with the ledger, and repair it."""
    reconcile_hours.apply_async(expires=SECONDS_TO_START)
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        reconcile_tenant.apply_async((tenant_id,), expires=SECONDS_TO_START)


@shared_task(ignore_result=True)
def reconcile_tenant(tenant_id: int, **_future: object) -> int:
    return drift.reconcile_tenant(tenant_id, now=timezone.now())


@shared_task(ignore_result=True)
def reconcile_hours(**_future: object) -> int:
    return drift.reconcile_hours(now=timezone.now())


@shared_task(ignore_result=True)
def expire_keys(**_future: object) -> None:
    """Announce keys that expire soon, and note those that have."""
    now = timezone.now()
    key_expiry.warn_of_expiry(now=now)
    key_expiry.note_expired(now=now)
