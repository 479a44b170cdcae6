"""Rows of a large installation, for measuring pages: one INSERT per table, reproducible by number.

Every value follows from the number of its row, so that databases of one size are equal. The
first tenant is the big one: it has the most keys, and four of ten requests, runs and conversations.
Ids ascend with time, as they do where rows are appended.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, models

USAGE_DAYS = 60
AUDIT_DAYS = 180
BIG = "t0001"
PLAN = "Scale"

NUMBER_OF_TENANT = "CASE WHEN i %% 10 < 4 THEN 1 ELSE 1 + (i * 7919) %% {tenants} END"
"""SQL of the tenant of row `i` of a table."""

KEYS_BY_TENANT = """
    CREATE TEMPORARY TABLE scale_key ON COMMIT DROP AS
    SELECT tenant.number AS tenant_number, tenant_id, tenant.time_zone, key.id,
        row_number() OVER of_tenant AS number, count(*) OVER (PARTITION BY tenant_id) AS keys
    FROM tenants_apikey AS key JOIN scale_tenant AS tenant ON tenant.id = key.tenant_id
    WINDOW of_tenant AS (PARTITION BY tenant_id ORDER BY key.id)
"""
TENANTS_BY_NUMBER = """
    CREATE TEMPORARY TABLE scale_tenant ON COMMIT DROP AS
    SELECT id, time_zone, row_number() OVER (ORDER BY id) AS number FROM tenants_tenant
"""

HOURS = """
    INSERT INTO tenants_usagehour (tenant_id, hour, api_key_id, member_id, agent, route, door,
        requests, failed, prompt_tokens, completion_tokens, cached_tokens, cost_micro)
    SELECT tenant_id, date_trunc('hour', started_at, 'UTC'), coalesce(api_key_id, 0),
        coalesce(member_id, 0), agent, route, door, count(*),
        count(*) FILTER (WHERE status = 'failed'), sum(prompt_tokens), sum(completion_tokens),
        sum(cached_tokens), sum(cost_micro)
    FROM tenants_usageevent GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
COUNTERS = """
    INSERT INTO tenants_quotausage (tenant_id, counter, "window", ends_at, used, granted, version)
    SELECT tenant_id, charge.counter, charge."window",
        to_timestamp(split_part(charge."window", '-', 2)::bigint), sum(charge.amount), 0, 1
    FROM tenants_usageevent,
        jsonb_to_recordset(charges) AS charge (counter text, "window" text, amount bigint)
    GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Numbers of rows of each kind. There are two members for each tenant."""

    tenants: int = 2_000
    keys: int = 100_000
    big_tenant_keys: int = 20_000
    """The number of keys of the first tenant."""
    events: int = 2_000_000
    audit_entries: int = 600_000
    runs: int = 200_000
    conversations: int = 60_000

    @property
    def are_possible(self) -> bool:
        """Whether each tenant gets a key, and there is a tenant besides the big one."""
        others = self.tenants - 1
        return others >= 1 and 1 <= self.big_tenant_keys <= self.keys - others


def window(period: str, moment: str) -> str:
    """Return SQL of the id of the calendar's window in the tenant's zone, as `Window.id` does."""
    local = f"date_trunc('{period}', {moment} AT TIME ZONE time_zone)"
    begin = f"extract(epoch FROM {local} AT TIME ZONE time_zone)::bigint"
    end = f"({local} + interval '1 {period}') AT TIME ZONE time_zone"
    return f"{begin} || '-' || extract(epoch FROM {end})::bigint"


CHARGES = f"""jsonb_build_array(
    jsonb_build_object('counter', 'tenant|tokens', 'window', {window("month", "moment")},
        'amount', 150 + i %% 400 + i %% 300),
    jsonb_build_object('counter', 'key:' || key.id || '|requests',
        'window', {window("day", "moment")}, 'amount', 1))"""

TENANT = {
    "slug": "'t' || lpad(i::text, 4, '0')",
    "name": "'Tenant number ' || i",
    "status": "CASE WHEN i %% 50 = 0 THEN 'suspended' ELSE 'active' END",
    "time_zone": "(array['Europe/Berlin', 'UTC', 'Asia/Kolkata', 'America/New_York'])[1 + i %% 4]",
    "plan_id": "%(plan)s",
    "created_at": "%(now)s - interval '200 days'",
}
USER = {
    "password": "'!'",
    "username": "'user' || i",
    "email": "'user' || i || '@example.org'",
    "is_superuser": "false",
}
MEMBERSHIP = {
    "role": "(array['admin', 'developer', 'viewer'])[1 + i %% 3]",
    "user_id": "person.id",
    "tenant_id": "tenant.id",
    "created_at": "%(now)s",
}
KEY = {
    "name": "'key ' || i",
    "public_id": "lpad(to_hex(i), 12, 's')",
    "prefix": "'tnt_' || lpad(to_hex(i), 8, 's')",
    "digest": "decode(md5(i::text) || md5((i + 1)::text), 'hex')",
    # No pepper has this name: such a key is never valid.
    "pepper": "'scale'",
    "expires_at": "CASE WHEN i %% 20 = 0 THEN %(now)s - interval '1 day'"
    " WHEN i %% 33 = 0 THEN %(now)s + interval '200 days' END",
    "blocked_at": "CASE WHEN i %% 25 = 0 THEN %(now)s END",
    "blocked_by": "CASE WHEN i %% 25 = 0 THEN 3 END",
    "last_used_at": "%(now)s - (i %% 1000) * interval '1 minute'",
    "created_at": "%(now)s - (i %% 180) * interval '1 day'",
    "tenant_id": "tenant.id",
}
EVENT = {
    "tenant_id": "key.tenant_id",
    "api_key_id": "key.id",
    "request_id": "'req_scale' || lpad(to_hex(i), 22, '0')",
    "client_request_id": "CASE WHEN i %% 10 = 0 THEN 'client-' || i ELSE '' END",
    "kind": "'final'",
    "door": "CASE WHEN i %% 3 = 0 THEN 'responses' ELSE 'chat.completions' END",
    "agent": "CASE WHEN i %% 5 < 2 THEN 'assistant' ELSE '' END",
    "agent_revision": "CASE WHEN i %% 5 < 2 THEN 1 + i %% 7 END",
    "route": "CASE WHEN i %% 5000 = 7 AND moment < %(now)s - interval '50 days' THEN 'rare'"
    " ELSE (array['tiny', 'smollm2', 'dear'])[1 + i %% 3] END",
    "pool": "'tiny'",
    "endpoint": "'Vr7a30BGJ9xq'",
    "prompt_tokens": "100 + i %% 400",
    "completion_tokens": "50 + i %% 300",
    "cost_micro": "i %% 1000",
    "status": "CASE WHEN i %% 97 = 0 THEN 'failed' WHEN i %% 53 = 0 THEN 'client_left'"
    " ELSE 'completed' END",
    "error_code": "CASE WHEN i %% 97 = 0 THEN 'upstream_failed' ELSE '' END",
    "ttft_ms": "50 + i %% 100",
    "duration_ms": "500 + i %% 1000",
    "started_at": "moment",
    "ended_at": "moment + interval '1 second'",
    "charges": CHARGES,
}
AUDIT_ENTRY = {
    "content_type_id": "%(content_type)s",
    "object_pk": "key.id::text",
    "object_id": "key.id",
    "object_repr": "key.name || ' (' || key.prefix || '…)'",
    "action": "CASE WHEN i %% 7 = 0 THEN 0 ELSE 1 END",
    "changes": "jsonb_build_object('name', jsonb_build_array('key', key.name))",
    "changes_text": "''",
    "actor_id": "person.id",
    "timestamp": "moment",
}
CONVERSATION = {
    "public_id": "'conv_scale' || lpad(i::text, 8, '0')",
    "tenant_id": "tenant.id",
    "created_at": "moment",
    "changed_at": "moment + interval '1 hour'",
}
RUN = {
    "public_id": "'resp_scale' || lpad(i::text, 8, '0')",
    "door": "'responses'",
    "model": "'assistant'",
    "agent": "'assistant'",
    "agent_revision": "1 + i %% 7",
    "state": "CASE WHEN i %% 50 = 0 THEN 'failed' ELSE 'completed' END",
    "prompt_tokens": "10",
    "completion_tokens": "10",
    "steps": "1",
    "conversation_id": "conversation.id",
    "tenant_id": "conversation.tenant_id",
    "created_at": "moment",
    "started_at": "moment",
    "ended_at": "moment + interval '2 seconds'",
}


def numbers(rows: int, *, days: int = USAGE_DAYS) -> str:
    """Return SQL of the numbers `i` from `first` to `last`, each with its `moment`."""
    ago = f"(1 - i::float8 / {rows}) * interval '{days} days'"
    return (
        f"(SELECT i, %(now)s - {ago} AS moment"  # noqa: S608 - numbers only
        " FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i) AS row"
    )


def insert_rows(
    model: type[models.Model], values: Mapping[str, str], *, source: str, facts: Mapping[str, Any]
) -> int:
    """Insert a row for each row of `source`, with `values` (SQL by column). Returns the number.

    Columns that `values` do not name get the default of their field. Raises KeyError for one
    without a default: a new column of the model needs a value in this module.
    """
    others = default_values(model, values)
    columns = {name: sql for name, (sql, _) in others.items()} | dict(values)
    names = ", ".join(connection.ops.quote_name(name) for name in columns)
    chosen = ", ".join(columns.values())
    defaults = {f"default_{name}": value for name, (_, value) in others.items()}
    table = connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001 - Django documents it
    statement = f"INSERT INTO {table} ({names}) SELECT {chosen} FROM {source} ORDER BY i"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, {**defaults, **facts})
        return int(cursor.rowcount)


def default_values(
    model: type[models.Model], values: Mapping[str, str]
) -> dict[str, tuple[str, Any]]:
    """Return by column: a typed placeholder, and the default that replaces it."""
    found: dict[str, tuple[str, Any]] = {}
    for field in model._meta.concrete_fields:  # noqa: SLF001 - Django documents it
        if field.column in values or field.primary_key or (field.null and not field.has_default()):
            continue
        if not (field.has_default() or field.empty_strings_allowed):
            raise KeyError(f"{model.__name__}.{field.name} has no default and no value here.")
        value = field.get_db_prep_save(field.get_default(), connection)
        placeholder = f"%(default_{field.column})s::{field.db_type(connection)}"
        found[str(field.column)] = (placeholder, value)
    return found
