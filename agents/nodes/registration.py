"""Registration and expiry of nodes. What gateways and heartbeats need is in `statements`."""

import logging
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from agents.errors import NodeVersionMismatch
from agents.models import AgentNode
from agents.models.node import NodeState
from agents.nodes.announcement import (
    SILENCE_SECONDS,
    NodeAnnouncement,
    ensure_registered,
    ensure_valid,
)
from agents.nodes.statements import register_statement, stop_statement
from agents.nodes.tokens import token_of, use_token
from kernel.storage.database import execute
from kernel.storage.version import database_version, release_line

log = logging.getLogger(__name__)

SILENCE = timedelta(seconds=SILENCE_SECONDS)
KEEP_DOWN = timedelta(days=1)
"""Time for which a node that is down stays listed, because runs name their worker."""
MAX_LOGGED_NAMES = 10


@transaction.atomic
def register_agent_node(announced: NodeAnnouncement, token: str) -> None:
    """Register a process that executes runs, with the text of a node token.

    A repeated registration updates the node. Raises InvalidNode, InvalidNodeToken,
    NodeTokenUsedUp, NodeVersionMismatch, and NodeNameTaken while another process has the name.
    """
    ensure_valid(announced)
    ensure_compatible(announced.version)
    row = token_of(token)
    if not AgentNode.objects.filter(worker=announced.worker).exists():
        use_token(row)
    ensure_registered(announced, execute(register_statement(announced, token_id=row.pk)))


def ensure_compatible(version: str) -> None:
    """Raise NodeVersionMismatch unless the database is of the same major and minor version."""
    migrated = database_version()
    if migrated and release_line(migrated) != release_line(version):
        raise NodeVersionMismatch(
            f"This node is of version {version or 'unknown'}, and the database of version "
            f"{migrated}. Start the node from the same version as the console, and migrate the "
            "database before with `manage.py migrate`."
        )


def deregister_node(worker: str) -> bool:
    """Record that a node ended in order. False if there is no node of this worker."""
    return bool(execute(stop_statement(worker)))


@transaction.atomic
def expire_silent_nodes() -> int:
    """Mark nodes without heartbeats as down, and delete those that are down for a day.

    Returns the number of nodes that went down.
    """
    silent = last_seen(SILENCE).exclude(state=NodeState.DOWN)
    found = dict(silent.select_for_update(skip_locked=True).values_list("pk", "name"))
    if found:
        note = f"no heartbeat for {SILENCE_SECONDS} s"
        AgentNode.objects.filter(pk__in=found).update(state=NodeState.DOWN, note=note)
        log.warning("nodes: no heartbeat (nodes=%d, names=%s)", len(found), listed(found.values()))
    old = last_seen(KEEP_DOWN).filter(state=NodeState.DOWN)
    deleted = dict(old.values_list("pk", "name"))
    if deleted:
        # A node that came back meanwhile is not deleted.
        old.filter(pk__in=deleted).delete()
        log.info(
            "nodes: deleted, down for a day (nodes=%d, names=%s)",
            len(deleted),
            listed(deleted.values()),
        )
    return len(found)


def last_seen(before: timedelta) -> "QuerySet[AgentNode]":
    """Return nodes whose last heartbeat is as old, by the clock of the database."""
    return AgentNode.objects.filter(heartbeat_at__lte=Now() - before)


def listed(names: Iterable[str]) -> str:
    """Join the first names for a log line."""
    return ", ".join(sorted(names)[:MAX_LOGGED_NAMES])
