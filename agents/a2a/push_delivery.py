"""Push notifications of A2A: sent at least once, with retries, when a task ends or is interrupted.

Rows determine what is due, so that a crash loses none and no worker of the gateway is involved.
"""

import logging
import time
from datetime import datetime, timedelta

import msgspec
from django.db.models import F
from django.utils import timezone

from agents.models import PushConfig, Run
from agents.models.choices import TERMINAL, RunState
from agents.schema.json_types import Json
from kernel.egress.client import EgressFailed, Request, fetch_now
from kernel.errors import PlatformError
from tenants.scoping import every_tenant, tenant_scope

log = logging.getLogger(__name__)

SENT_STATES = (*TERMINAL, RunState.REQUIRES_APPROVAL)
"""The states of a run that are sent."""
STATE_NAMES = {
    RunState.COMPLETED: "TASK_STATE_COMPLETED",
    RunState.FAILED: "TASK_STATE_FAILED",
    RunState.INCOMPLETE: "TASK_STATE_FAILED",
    RunState.CANCELLED: "TASK_STATE_CANCELED",
    RunState.REQUIRES_APPROVAL: "TASK_STATE_INPUT_REQUIRED",
}
MAX_TRIES = 8
FIRST_RETRY = timedelta(seconds=5)
CLAIM = timedelta(seconds=60)
"""Time after which a notification is sent again if the process that sent it did not say how."""
MAX_PER_READ = 200
SEND_TIMEOUT_SECONDS = 5.0
SUCCESSES = range(200, 300)
CONTENT_TYPE = "application/a2a+json"


def send_due_notifications(*, max_seconds: float) -> int:
    """Send the notifications that are due. Returns how many were accepted.

    Starts none after `max_seconds`, and none of a tenant of which one has failed during this call.
    """
    now, ends = timezone.now(), time.monotonic() + max_seconds
    failing: set[int] = set()
    sent = 0
    with every_tenant():  # a periodic task for all tenants
        due = PushConfig.objects.filter(next_try_at__lte=now, run__state__in=SENT_STATES)
        rows = due.exclude(run__state=F("sent_state")).order_by("next_try_at", "pk")
        found = list(rows.values_list("tenant_id", "pk", "next_try_at")[:MAX_PER_READ])
    for tenant_id, pk, seen_at in found:
        if tenant_id in failing or time.monotonic() >= ends:
            continue
        if send_one(tenant_id, pk, seen_at=seen_at):
            sent += 1
        else:
            failing.add(tenant_id)
    return sent


def send_one(tenant_id: int, pk: int, *, seen_at: datetime | None) -> bool:
    """Send the state of a task to one webhook. False if another process does, or it failed."""
    with tenant_scope(tenant_id):
        mine = PushConfig.objects.filter(pk=pk, next_try_at=seen_at)
        if not mine.update(next_try_at=timezone.now() + CLAIM):
            return False
        config = PushConfig.objects.select_related("run__conversation").get(pk=pk)
        run = config.run
        try:
            post(config, run)
        except (PlatformError, OSError) as error:
            note_failure(config, error)
            return False
        is_last = run.state in TERMINAL
        config.sent_state, config.tries, config.last_error = run.state, 0, ""
        config.next_try_at = None if is_last else timezone.now()
        config.save(update_fields=("sent_state", "tries", "last_error", "next_try_at"))
        return True


def post(config: PushConfig, run: Run) -> None:
    """Raises TargetRefused, EgressFailed and OSError."""
    headers = {"content-type": CONTENT_TYPE}
    if config.token:
        headers["x-a2a-notification-token"] = config.token
    if config.scheme and config.credential:
        headers["authorization"] = f"{config.scheme} {config.credential}"
    body = msgspec.json.encode(notification_of(run))
    request = Request(method="POST", url=config.url, headers=headers, body=body)
    answer = fetch_now(request, seconds=SEND_TIMEOUT_SECONDS)
    if answer.status not in SUCCESSES:
        raise EgressFailed(f"The webhook responded with status {answer.status}.")


def notification_of(run: Run) -> Json:
    """Return a StreamResponse with the state of a task. It has no texts: the receiver reads them.

    Source: A2A 1.0, section 4.3.3.
    """
    moment = run.ended_at or run.started_at or run.created_at
    return {
        "statusUpdate": {
            "taskId": run.public_id,
            "contextId": run.conversation.public_id if run.conversation else "",
            "status": {
                "state": STATE_NAMES[RunState(run.state)],
                "timestamp": moment.isoformat().replace("+00:00", "Z"),
            },
        }
    }


def note_failure(config: PushConfig, error: Exception) -> None:
    """Plan the next attempt, each after twice the time; give up after MAX_TRIES."""
    reason = error.message if isinstance(error, PlatformError) else error.__class__.__name__
    config.tries += 1
    config.last_error = reason[:300]
    if config.tries >= MAX_TRIES:
        config.next_try_at = None
        log.error(
            "push notifications: dropped after the last attempt (config=%d, tries=%d)",
            config.pk,
            config.tries,
        )
    else:
        config.next_try_at = timezone.now() + FIRST_RETRY * 2 ** (config.tries - 1)
        log.warning(
            "push notifications: delivery failed (config=%d, try=%d): %s",
            config.pk,
            config.tries,
            reason,
        )
    config.save(update_fields=("tries", "last_error", "next_try_at"))
