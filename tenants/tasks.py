"""The timed work of this context.

A job on the schedule looks for what is due and walks the tenants that it concerns, for a bounded
time (`tenants.walks`). Rows say what is due and who has it: a task may come twice or hours late,
and two schedulers may run at once.
"""

from functools import partial

from celery import shared_task
from django.utils import timezone

from tenants.api_keys import expiry as key_expiry
from tenants.ledger import abandoned, reconcile_job
from tenants.limits import alerts, resets
from tenants.models import Tenant
from tenants.notifications import delivery
from tenants.walks import walk_tenants

MAX_SECONDS_OF_A_MINUTE = 40
"""For jobs that come every minute: two of a kind never walk at the same time."""
MAX_RECONCILE_SECONDS = 150
MAX_DELIVERY_SECONDS = 30


@shared_task(ignore_result=True)
def reset_due_quotas(**_future: object) -> None:
    """Close windows that are over, and open the next ones."""
    now = timezone.now()
    due = resets.tenants_to_reset(now=now)
    look = partial(resets.reset_quotas, now=now)
    walk_tenants("reset_due_quotas", due, look, max_seconds=MAX_SECONDS_OF_A_MINUTE)


@shared_task(ignore_result=True)
def send_quota_alerts(**_future: object) -> None:
    """Tell of thresholds that were crossed."""
    now = timezone.now()
    due = alerts.tenants_to_alert(now=now)
    look = partial(alerts.alert_tenant, now=now)
    walk_tenants("send_quota_alerts", due, look, max_seconds=MAX_SECONDS_OF_A_MINUTE)


@shared_task(ignore_result=True)
def deliver_notices(**_future: object) -> None:
    """Try what is due; a failed try is due again after a pause that doubles."""
    delivery.deliver_due(max_seconds=MAX_DELIVERY_SECONDS)


@shared_task(ignore_result=True)
def bill_orphans(**_future: object) -> int:
    """Bill requests whose worker died."""
    return abandoned.bill_every_orphan()


@shared_task(ignore_result=True)
def reconcile(**_future: object) -> None:
    """Compare every sum with the ledger, and repair it."""
    now = timezone.now()
    reconcile_job.reconcile_counters(now=now)
    reconcile_job.reconcile_hours(now=now)
    tenants = Tenant.objects.values_list("pk", flat=True)
    look = partial(reconcile_job.reconcile_copies, now=now)
    walk_tenants("reconcile", tenants, look, max_seconds=MAX_RECONCILE_SECONDS)


@shared_task(ignore_result=True)
def expire_keys(**_future: object) -> None:
    """Announce keys that expire soon, and note those that have."""
    now = timezone.now()
    key_expiry.warn_of_expiry(now=now)
    key_expiry.note_expired(now=now)
