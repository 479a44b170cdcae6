"""The timed work of this context. Rows say what is due: a task may come twice, or late."""

from celery import shared_task
from django.utils import timezone

from agents import erasure

SECONDS_TO_START = 600
"""A task that nobody took by then is dropped: the next look finds the same."""


@shared_task(ignore_result=True)
def erase_what_expired(**_future: object) -> None:
    """Keep to the retention of every tenant that has one."""
    for tenant_id in erasure.tenants_with_retention():
        erase_expired.apply_async((tenant_id,), expires=SECONDS_TO_START)


@shared_task(ignore_result=True)
def erase_expired(tenant_id: int, **_future: object) -> None:
    erasure.erase_expired(tenant_id, now=timezone.now())


@shared_task(ignore_result=True)
def finish_erasures(**_future: object) -> int:
    """Go on with erasures of whole tenants, and with what Redis could not delete at once."""
    return erasure.carry_out_open()
