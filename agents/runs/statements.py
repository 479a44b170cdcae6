"""The statements of every run: its beginning and its end, each of them one round trip.

In SQL, because a client waits for them: the ORM asks PostgreSQL five times to end a run, and takes
the worker a millisecond to put a question. Whatever is not the tenant's is not there.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from agents.models.choices import RunState
from agents.models.run_rows import HELD
from agents.schema.items import StoredItem, item_json, kind_of
from agents.schema.run_records import LEASE_SECONDS, ROLLBACK, EndedRun, NewRun
from kernel.storage.database import Statement

BEGIN = """
INSERT INTO agents_run (
    tenant_id, public_id, conversation_id, previous_id, door, model, agent, agent_revision, route,
    api_key_id, member_id, client_id, request, background, store, worker, state,
    created_at, started_at, lease_until,
    incomplete_reason, prompt_tokens, cached_tokens, completion_tokens, steps, tool_calls,
    cache_hit, checkpoint
) VALUES (
    %(tenant_id)s, %(id)s, %(conversation_pk)s, %(previous_pk)s, %(door)s, %(model)s, %(agent)s,
    %(agent_revision)s, %(route)s, %(api_key_id)s, %(member_id)s, %(client_id)s, %(request)s,
    %(background)s, %(store)s, %(worker)s, %(state)s,
    statement_timestamp(), CASE WHEN NOT %(waits)s THEN statement_timestamp() END,
    statement_timestamp() + make_interval(secs => %(lease)s),
    '', 0, 0, 0, 0, 0,
    false, ''
) RETURNING id
"""
"""Times are the database's, by which the runs of a conversation are ordered."""

ENDED = """
WITH run AS (
    UPDATE agents_run SET
        state = %(state)s, ended_at = statement_timestamp(), lease_until = NULL, checkpoint = '',
        error = %(error)s, incomplete_reason = coalesce(%(reason)s, incomplete_reason),
        prompt_tokens = %(prompt_tokens)s, cached_tokens = %(cached_tokens)s,
        completion_tokens = %(completion_tokens)s,
        reasoning_tokens = %(reasoning_tokens)s, steps = %(steps)s,
        tool_calls = %(tool_calls)s, cache_hit = %(cache_hit)s
    WHERE tenant_id = %(tenant_id)s AND public_id = %(id)s AND worker = %(worker)s
        AND state = ANY(%(held)s)
    RETURNING id
)"""
FOUND = """
WITH run AS (
    SELECT id FROM agents_run WHERE tenant_id = %(tenant_id)s AND public_id = %(id)s FOR UPDATE
)"""
KEPT = """, talk AS (
    UPDATE agents_conversation SET
        next_position = next_position + %(count)s, changed_at = statement_timestamp()
    WHERE tenant_id = %(tenant_id)s AND public_id = %(conversation)s
        AND %(count)s > 0 AND EXISTS (SELECT FROM run)
    RETURNING id, next_position - %(count)s AS first
), kept AS (
    INSERT INTO agents_item (
        tenant_id, public_id, conversation_id, run_id, is_input, position, kind, body, created_at
    )
    SELECT %(tenant_id)s, said.id, talk.id, run.id, said.is_input,
        said.place - 1 + coalesce(
            talk.first, (SELECT count(*) FROM agents_item WHERE run_id = run.id)
        ),
        said.kind, said.body, statement_timestamp()
    FROM run LEFT JOIN talk ON true CROSS JOIN ROWS FROM (
        jsonb_to_recordset(%(items)s) AS (id text, is_input bool, kind text, body jsonb)
    ) WITH ORDINALITY AS said (id, is_input, kind, body, place)
    ON CONFLICT (public_id) DO NOTHING
)
SELECT id FROM run
"""
"""In the conversation, behind everything there, or with the run alone. The run's row is locked
before the conversation's, as wherever both are.
"""
END = ENDED + KEPT
KEEP = FOUND + KEPT


def beginning(
    new: NewRun, *, conversation_pk: int | None = None, previous_pk: int | None = None
) -> Statement:
    """Begins a run. Returns its primary key; an IntegrityError says that it has a twin."""
    facts = {
        **msgspec.structs.asdict(new),
        "request": as_json(new.request),
        "state": RunState.QUEUED.value if new.waits else RunState.IN_PROGRESS.value,
        "conversation_pk": conversation_pk,
        "previous_pk": previous_pk,
        "lease": LEASE_SECONDS,
    }
    return Statement(BEGIN, facts)


def ending(ended: EndedRun) -> Statement:
    """Ends a run that its worker still holds, and keeps what it made: in the conversation, if it
    has one and did not fail; else with the run. Returns a row, or none: it had ended, and nothing
    is done.
    """
    is_forgotten = ended.reason == ROLLBACK
    is_said = ended.state != "failed" and not is_forgotten
    facts = {
        **kept(
            () if is_forgotten else ended.items,
            conversation=ended.conversation if is_said else None,
        ),
        "tenant_id": ended.tenant_id,
        "id": ended.id,
        "worker": ended.worker,
        "held": list(HELD),
        "state": ended.state,
        "error": None if ended.error is None else as_json(ended.error),
        "reason": ended.reason or None,
        "prompt_tokens": ended.usage.prompt_tokens,
        "cached_tokens": ended.usage.cached_tokens,
        "completion_tokens": ended.usage.completion_tokens,
        "reasoning_tokens": ended.usage.reasoning_tokens,
        "steps": ended.steps,
        "tool_calls": ended.tool_calls,
        "cache_hit": ended.cache_hit,
    }
    return Statement(END, facts)


def keeping(
    tenant_id: int, run_id: str, *, conversation: str | None, items: Sequence[StoredItem]
) -> Statement:
    """Keeps what a run made that has ended already."""
    facts = {"tenant_id": tenant_id, "id": run_id, **kept(items, conversation=conversation)}
    return Statement(KEEP, facts)


def kept(items: Sequence[StoredItem], *, conversation: str | None) -> dict[str, Any]:
    rows = [as_row(each) for each in items]
    return {"conversation": conversation, "count": len(rows), "items": as_json(rows)}


def as_row(stored: StoredItem) -> dict[str, Any]:
    body = item_json(stored.item)
    name = body.pop("id")
    return {
        "id": name,
        "is_input": stored.is_input,
        "kind": kind_of(stored.item),
        "body": body,
    }


def as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
