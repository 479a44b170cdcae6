"""Decisions of people about tool calls that need an approval: made once, then the run resumes."""

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
    """Decide an approval. False if it was decided before, or if its run has ended.

    Gateways get a message after the commit, so that one of them resumes the run. A lost message
    only delays that: the gateways also poll the rows.
    """
    with tenant_scope(approval.tenant_id), transaction.atomic():
        # Not a join: PostgreSQL would check this row's state before it has waited for its lock.
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
            transaction.on_commit(partial(publish_decision, ids))
    return won == 1


def publish_decision(message: str) -> None:
    """Publish a decision. A failure of Redis is logged only: gateways also poll."""
    try:
        with connect(settings.REDIS_URL, timeout=0.5) as client:
            client.publish(APPROVALS, message)
    except redis.RedisError as error:
        log.warning("approvals: decision not published (error=%s)", error.__class__.__name__)
