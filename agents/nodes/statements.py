"""The statements of a node: registration, heartbeat and end, one round trip each.

They are SQL so that gateways need neither a thread nor Django's models for them. All times are the
database's, because the clocks of nodes differ.
"""

import msgspec

from agents.nodes.announcement import SILENCE_SECONDS, NodeAnnouncement
from agents.nodes.health import NodeLoad, state_of
from kernel.storage.database import Statement

REGISTER = """
INSERT INTO agents_agentnode AS node (
    name, kind, worker, host, pod, version, zone, labels, capabilities, weight, slots, token_id,
    state, note, started_at, heartbeat_at, runs, sockets, load
) VALUES (
    %(name)s, %(kind)s, %(worker)s, %(host)s, %(pod)s, %(version)s, %(zone)s, %(labels)s,
    %(capabilities)s, %(weight)s, %(slots)s, %(token_id)s,
    'starting', '', statement_timestamp(), statement_timestamp(), 0, 0, '{}'
) ON CONFLICT (name) DO UPDATE SET
    kind = excluded.kind, worker = excluded.worker, host = excluded.host, pod = excluded.pod,
    version = excluded.version, zone = excluded.zone, labels = excluded.labels,
    capabilities = excluded.capabilities, weight = excluded.weight, slots = excluded.slots,
    token_id = excluded.token_id, heartbeat_at = excluded.heartbeat_at, stopped_at = NULL,
    state = 'starting', note = '', runs = 0, sockets = 0,
    started_at = CASE WHEN node.worker = excluded.worker THEN node.started_at
        ELSE excluded.started_at END
WHERE node.worker = excluded.worker OR node.state = 'down'
    OR node.heartbeat_at <= statement_timestamp() - make_interval(secs => %(silence)s)
    OR (node.pod = excluded.pod AND node.kind = excluded.kind AND excluded.pod <> '')
RETURNING id
"""
"""A drain that an operator requested survives a restart of the process."""

HEARTBEAT = """
UPDATE agents_agentnode SET
    heartbeat_at = statement_timestamp(), stopped_at = NULL,
    state = CASE WHEN drain_requested_at IS NULL THEN %(state)s ELSE 'draining' END,
    note = CASE WHEN drain_requested_at IS NULL THEN %(note)s ELSE 'an operator drains it' END,
    runs = %(runs)s, sockets = %(sockets)s, load = %(load)s
WHERE worker = %(worker)s
RETURNING drain_requested_at IS NOT NULL, (
    SELECT count(*) FROM agents_agentnode other
    WHERE other.kind = 'agent' AND other.state <> 'down'
        AND other.heartbeat_at > statement_timestamp() - make_interval(secs => %(silence)s)
)
"""

STOP = """
UPDATE agents_agentnode SET
    state = 'down', note = 'stopped', stopped_at = statement_timestamp(), runs = 0, sockets = 0,
    load = '{}'
WHERE worker = %(worker)s
RETURNING id
"""


def register_statement(announced: NodeAnnouncement, *, token_id: int | None = None) -> Statement:
    """Return the statement that registers a node. A repeated registration updates it.

    It returns one row; none if another process that is alive has the name. A pod has one process
    of a kind, so that its container may register again at once.
    """
    facts = {
        **{name: getattr(announced, name) for name in ("name", "kind", "worker", "host", "pod")},
        **{name: getattr(announced, name) for name in ("version", "zone", "weight", "slots")},
        "labels": as_json(dict(announced.labels)),
        "capabilities": list(announced.capabilities),
        "token_id": token_id,
        "silence": SILENCE_SECONDS,
    }
    return Statement(REGISTER, facts)


def heartbeat_statement(worker: str, load: NodeLoad) -> Statement:
    """Return the statement that records a heartbeat.

    It returns one row: whether a drain is requested, and the number of agent nodes that are not
    down. It returns none if the node must register again.
    """
    state, note = state_of(load)
    facts = {
        "worker": worker,
        "state": state,
        "note": note,
        "runs": load.runs,
        "sockets": load.sockets,
        "load": as_json(load.as_json()),
        "silence": SILENCE_SECONDS,
    }
    return Statement(HEARTBEAT, facts)


def stop_statement(worker: str) -> Statement:
    """Return the statement that records an end in order. It returns a row if the node exists."""
    return Statement(STOP, {"worker": worker})


def as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
