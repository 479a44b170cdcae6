"""What a person says about a tool call that waits: once, and then the run goes on."""

import logging
from functools import partial
from typing import Literal

import redis
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from agents.models import Approval, Run
from agents.models.choices import ACTIVE, ApprovalState
from agents.redis_keys import APPROVALS
from kernel.storage.redis import connect
from tenants.scoping import tenant_scope

log = logging.getLogger(__name__)

Decision = Literal["approved", "denied"]
MAX_REASON_CHARS = 500


def resolve(*, approval: Approval, by: str, decision: Decision, reason: str = "") -> bool:
    """Decide a call. False if that was done before, or if its run has ended.

    Gateways are told when it is committed, so that one of them goes on with the run; a message
    that is lost costs time only, for the row says it too.
    """
    with tenant_scope(approval.tenant_id), transaction.atomic():
        # Not over a join: PostgreSQL would look at this row's own state before others had left it.
        alive = Exists(Run.objects.filter(pk=OuterRef("run"), state__in=ACTIVE))
        waiting = Approval.objects.filter(alive, pk=approval.pk, state=ApprovalState.PENDING)
        won = waiting.update(
            state=ApprovalState(decision),
            resolved_by=by[:200],
            reason=reason[:MAX_REASON_CHARS],
            resolved_at=timezone.now(),
        )
        if won:
            ids = f"{approval.run.public_id} {approval.public_id}"
            transaction.on_commit(partial(tell, ids))
    return won == 1


def tell(message: str) -> None:
    """Wake up whoever listens, as far as Redis can be reached."""
    try:
        with connect(settings.REDIS_URL, timeout=0.5) as client:
            client.publish(APPROVALS, message)
    except redis.RedisError as error:
        log.warning("approvals: decision not published (error=%s)", error.__class__.__name__)
