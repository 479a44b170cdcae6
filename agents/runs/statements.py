"""The statements that every run executes, at its start and at its end: one round trip each.

They are SQL because a client waits for them: the ORM needs five queries to end a run, and a
millisecond of the worker's time to build one. Every statement is limited to the tenant's rows.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from agents.models.choices import RunState
from agents.models.run_rows import HELD
from agents.schema.items import StoredItem, item_json, kind_of
from agents.schema.run_records import LEASE_SECONDS, ROLLBACK, EndedRun, NewRun
from kernel.storage.database import Statement

INSERT_COLUMNS = """
INSERT INTO agents_run (
    tenant_id, public_id, conversation_id, previous_id, door, model, agent, agent_revision, route,
    api_key_id, member_id, client_id, request, background, store, worker, state, checkpoint,
    incomplete_reason, prompt_tokens, cached_tokens, completion_tokens, steps, tool_calls,
    cache_hit, created_at, started_at, lease_until, attempt, priority, deadline
) SELECT
    %(tenant_id)s, %(id)s, %(conversation_pk)s::bigint, %(previous_pk)s::bigint, %(door)s,
    %(model)s, %(agent)s, %(agent_revision)s::int, %(route)s, %(api_key_id)s::bigint,
    %(member_id)s::bigint, %(client_id)s, %(request)s::jsonb,
    %(background)s, %(store)s, %(worker)s, %(state)s, %(checkpoint)s,
    '', 0, 0, 0, 0, 0,
    false, statement_timestamp(),
"""
"""All times are the database's, since the runs of a conversation are ordered by them."""
AT_ONCE = """
    CASE WHEN NOT %(waits)s THEN statement_timestamp() END,
    statement_timestamp() + make_interval(secs => %(lease)s), 1, 0, NULL
RETURNING id
"""
IN_QUEUE = """
    NULL, NULL, 0, %(priority)s, %(deadline)s::timestamptz
WHERE %(max_queued)s > (
    SELECT count(*) FROM (
        SELECT FROM agents_run
        WHERE tenant_id = %(tenant_id)s AND state = 'queued' AND worker = ''
        LIMIT %(max_queued)s
    ) queued
)
RETURNING id
"""
INSERT_RUN = INSERT_COLUMNS + AT_ONCE
QUEUE_RUN = INSERT_COLUMNS + IN_QUEUE
QUEUE_RUN_OF_TASK = f"""
WITH run AS ({QUEUE_RUN}), linked AS (
    UPDATE agents_task task SET run_id = run.id FROM run
    WHERE task.tenant_id = %(tenant_id)s AND task.public_id = %(new_task)s AND task.run_id IS NULL
    RETURNING task.id
)
SELECT run.id, EXISTS (SELECT FROM linked) FROM run
"""  # noqa: S608 - of constants

FIND_DUPLICATE = """
WITH first AS (
    SELECT coalesce(lineage, id) AS id FROM tenants_apikey
    WHERE tenant_id = %(tenant_id)s AND id = %(api_key_id)s
)
SELECT run.public_id, coalesce(run.request ->> 'fingerprint', '') FROM agents_run run
WHERE run.tenant_id = %(tenant_id)s AND run.client_id = %(client_id)s
    AND run.conversation_id IS NULL
    AND run.api_key_id IN (
        SELECT key.id FROM tenants_apikey key, first
        WHERE key.id = first.id OR key.lineage = first.id
    )
LIMIT 1
"""
"""A client that repeats a request after a rotation of its key joins the same run."""

END_RUN = """
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
LOCK_RUN = """
WITH run AS (
    SELECT id FROM agents_run WHERE tenant_id = %(tenant_id)s AND public_id = %(id)s FOR UPDATE
)"""
SAVE_ITEMS = """, place_of_run AS (
    UPDATE agents_conversation SET
        next_position = next_position + %(count)s, changed_at = statement_timestamp()
    WHERE tenant_id = %(tenant_id)s AND public_id = %(conversation)s
        AND %(count)s > 0 AND EXISTS (SELECT FROM run)
    RETURNING id, next_position - %(count)s AS first
), saved AS (
    INSERT INTO agents_item (
        tenant_id, public_id, conversation_id, run_id, is_input, position, kind, body, created_at
    )
    SELECT %(tenant_id)s, new_item.id, place_of_run.id, run.id, new_item.is_input,
        new_item.place - 1 + coalesce(
            place_of_run.first, (SELECT count(*) FROM agents_item WHERE run_id = run.id)
        ),
        new_item.kind, new_item.body, statement_timestamp()
    FROM run LEFT JOIN place_of_run ON true CROSS JOIN ROWS FROM (
        jsonb_to_recordset(%(items)s) AS (id text, is_input bool, kind text, body jsonb)
    ) WITH ORDINALITY AS new_item (id, is_input, kind, body, place)
    ON CONFLICT (public_id) DO NOTHING
)
SELECT id FROM run
"""
"""Appends items to the conversation, or to the run without one. The row of the run is locked
before that of the conversation, as in all transactions that lock both.
"""
END_AND_SAVE = END_RUN + SAVE_ITEMS
SAVE_ITEMS_OF_RUN = LOCK_RUN + SAVE_ITEMS


def insert_statement(
    new: NewRun, *, conversation_pk: int | None = None, previous_pk: int | None = None
) -> Statement:
    """Return the statement that inserts a run. It returns the primary key of the row, and whether
    its new task is linked with it; nothing if the tenant has too many runs in the run queue.

    It raises IntegrityError for a duplicate.
    """
    is_queued = new.waits or new.queue is not None
    facts = {
        **msgspec.structs.asdict(new),
        "request": as_json(new.request),
        "state": RunState.QUEUED.value if is_queued else RunState.IN_PROGRESS.value,
        "conversation_pk": conversation_pk,
        "previous_pk": previous_pk,
        "lease": LEASE_SECONDS,
    }
    if new.queue is None:
        return Statement(INSERT_RUN, facts)
    text = QUEUE_RUN_OF_TASK if new.queue.new_task else QUEUE_RUN
    return Statement(text, {**facts, **msgspec.structs.asdict(new.queue)})


def duplicate_statement(new: NewRun) -> Statement:
    """Return the statement that finds the run of a `client_id` without a conversation.

    It returns the run's id and fingerprint.
    """
    facts = {
        "tenant_id": new.tenant_id,
        "api_key_id": new.api_key_id,
        "client_id": new.client_id,
    }
    return Statement(FIND_DUPLICATE, facts)


def finish_statement(ended: EndedRun) -> Statement:
    """Return the statement that ends a run which its worker still holds, and saves its items.

    They are saved in the conversation, if the run has one and did not fail; else with the run. The
    statement returns a row; none, with nothing changed, if the run had ended already.
    """
    is_rolled_back = ended.reason == ROLLBACK
    is_in_conversation = ended.state != "failed" and not is_rolled_back
    facts = {
        **items_facts(
            () if is_rolled_back else ended.items,
            conversation=ended.conversation if is_in_conversation else None,
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
    return Statement(END_AND_SAVE, facts)


def save_items_statement(
    tenant_id: int, run_id: str, *, conversation: str | None, items: Sequence[StoredItem]
) -> Statement:
    """Return the statement that saves the items of a run that has ended already."""
    facts = {"tenant_id": tenant_id, "id": run_id, **items_facts(items, conversation=conversation)}
    return Statement(SAVE_ITEMS_OF_RUN, facts)


def items_facts(items: Sequence[StoredItem], *, conversation: str | None) -> dict[str, Any]:
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
