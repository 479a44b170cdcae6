"""The statements that every submitted task executes: one round trip each, and no thread.

They are SQL because a client waits for them (see `agents.runs.statements`). Every statement is
limited to the tenant's rows.
"""

from agents.runs.statements import as_json
from agents.runtime.loop.tool_output import storable_json
from agents.schema.json_types import Json
from agents.schema.routing.tasks import KnownTask, NewTask
from kernel.ids import new_id
from kernel.storage.database import Rows, Statement
from tenants.admission.principal import Principal

FIND_TASK = """
SELECT task.public_id, task.agent, task.fingerprint, run.public_id, false
FROM agents_task task LEFT JOIN agents_run run ON run.id = task.run_id
WHERE task.tenant_id = %(tenant_id)s AND task.idempotency_key = %(idempotency_key)s
    AND task.api_key_id IN (
        SELECT id FROM tenants_apikey
        WHERE tenant_id = %(tenant_id)s AND (id = %(first_key_id)s OR lineage = %(first_key_id)s)
    )
ORDER BY task.id LIMIT 1
"""
"""A key shares its idempotency keys with those that it replaced by rotation."""
ADD_TASK = f"""
WITH known AS ({FIND_TASK}), added AS (
    INSERT INTO agents_task (
        tenant_id, public_id, api_key_id, required_capabilities, input, requested_agent, agent,
        explanation, priority, deadline, idempotency_key, fingerprint, callback_url, metadata,
        created_at
    ) SELECT
        %(tenant_id)s, %(id)s, %(key_id)s::bigint, %(required)s, %(input)s::jsonb,
        %(requested_agent)s, %(agent)s, %(explanation)s::jsonb, %(priority)s,
        %(deadline)s::timestamptz, %(idempotency_key)s, %(fingerprint)s, %(callback_url)s,
        %(metadata)s::jsonb, statement_timestamp()
    WHERE NOT EXISTS (SELECT FROM known)
    ON CONFLICT (tenant_id, api_key_id, idempotency_key) DO NOTHING
    RETURNING public_id, agent, fingerprint
)
SELECT * FROM known
UNION ALL
SELECT public_id, agent, fingerprint, NULL, true FROM added
"""  # noqa: S608 - of constants
LINK_RUN = """
UPDATE agents_task task SET run_id = run.id
FROM agents_run run
WHERE run.tenant_id = %(tenant_id)s AND run.public_id = %(run_id)s
    AND task.tenant_id = %(tenant_id)s AND task.public_id = %(task_id)s
    AND (task.run_id IS NULL OR task.run_id = run.id)
RETURNING task.id
"""


def find_statement(principal: Principal, idempotency_key: str) -> Statement:
    """Return the statement that finds the task of an idempotency key; see `known_task`."""
    facts = {
        "tenant_id": principal.tenant_id,
        "first_key_id": principal.counted_as,
        "idempotency_key": idempotency_key,
    }
    return Statement(FIND_TASK, facts)


def add_statement(
    principal: Principal, new: NewTask, *, agent: str, explanation: Json
) -> Statement:
    """Return the statement that inserts a task without a run, unless the idempotency key has one
    already, which it returns then; see `known_task`.

    It returns no row if the task of the key is inserted at the same moment.
    """
    facts = {
        "tenant_id": principal.tenant_id,
        "first_key_id": principal.counted_as,
        "id": new_id("task"),
        "key_id": principal.key_id,
        "required": list(new.required_capabilities),
        "input": as_json(storable_json(new.input)),
        "requested_agent": new.agent,
        "agent": agent,
        "explanation": as_json(explanation),
        "priority": new.priority,
        "deadline": new.deadline,
        "idempotency_key": new.idempotency_key,
        "fingerprint": new.fingerprint,
        "callback_url": new.callback_url,
        "metadata": as_json(new.metadata),
    }
    return Statement(ADD_TASK, facts)


def link_statement(tenant_id: int, task_id: str, run_id: str) -> Statement:
    """Return the statement that links a task with its run, which accepts it.

    It returns no row if the task is not there any more.
    """
    return Statement(LINK_RUN, {"tenant_id": tenant_id, "task_id": task_id, "run_id": run_id})


def known_task(rows: Rows) -> KnownTask | None:
    """Return the task in the rows of a statement."""
    for task_id, agent, fingerprint, run_id, is_new in rows:
        return KnownTask(
            id=task_id, agent=agent, fingerprint=fingerprint, run_id=run_id, is_new=is_new
        )
    return None
