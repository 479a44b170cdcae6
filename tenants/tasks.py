"""The periodic tasks of this context.

A scheduled job finds the tenants with due work and visits them for a limited time
(`tenants.walks`). Rows store what is due and which process has claimed it: a task may run twice or
hours late, and two schedulers may run at the same time.
"""

from functools import partial

from celery import shared_task
from django.utils import timezone

from tenants import key_expiry
from tenants.ledger import abandoned, reconcile_job
from tenants.limits import alerts, resets
from tenants.models import Tenant
from tenants.notifications import delivery
from tenants.walks import walk_tenants

MAX_SECONDS_OF_A_MINUTE = 40
"""Maximum duration of a task that starts every minute, so that its runs do not overlap."""
MAX_RECONCILE_SECONDS = 150
MAX_DELIVERY_SECONDS = 30


@shared_task(ignore_result=True)
def reset_due_quotas(**_future: object) -> None:
    """Close windows that have ended, and open the next ones."""
    now = timezone.now()
    due = resets.tenants_to_reset(now=now)
    visit = partial(resets.reset_quotas, now=now)
    walk_tenants("reset_due_quotas", due, visit, max_seconds=MAX_SECONDS_OF_A_MINUTE)


@shared_task(ignore_result=True)
def send_quota_alerts(**_future: object) -> None:
    """Notify recipients of crossed thresholds."""
    now = timezone.now()
    due = alerts.tenants_to_alert(now=now)
    visit = partial(alerts.alert_tenant, now=now)
    walk_tenants("send_quota_alerts", due, visit, max_seconds=MAX_SECONDS_OF_A_MINUTE)


@shared_task(ignore_result=True)
def deliver_notices(**_future: object) -> None:
    """Deliver due notices; a failed delivery is retried after a pause that doubles."""
    delivery.deliver_due(max_seconds=MAX_DELIVERY_SECONDS)


@shared_task(name="tenants.tasks.bill_orphans", ignore_result=True)
def bill_abandoned_requests(**_future: object) -> int:
    """Bill requests whose worker died."""
    return abandoned.bill_every_abandoned()


@shared_task(ignore_result=True)
def reconcile(**_future: object) -> None:
    """Compare all sums with the ledger, and repair them."""
    now = timezone.now()
    reconcile_job.reconcile_counters(now=now)
    reconcile_job.reconcile_hours(now=now)
    tenants = Tenant.objects.values_list("pk", flat=True)
    visit = partial(reconcile_job.reconcile_copies, now=now)
    walk_tenants("reconcile", tenants, visit, max_seconds=MAX_RECONCILE_SECONDS)


@shared_task(ignore_result=True)
def expire_keys(**_future: object) -> None:
    """Notify of keys that expire soon, and record those that have expired."""
    now = timezone.now()
    key_expiry.warn_of_expiry(now=now)
    key_expiry.note_expired(now=now)
