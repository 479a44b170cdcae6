"""Waiting approvals are found by indexes, however many were decided before."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from agents.runs.paused_runs import expire_waiting

pytestmark = pytest.mark.slow

ROWS = 100_000
WAITING = 40
NOW = datetime(2026, 11, 1, tzinfo=UTC)
APPROVALS = "agents_approval"
FILL = """
    INSERT INTO agents_run (
        tenant_id, public_id, door, model, agent, route, client_id, request, background, store,
        state, incomplete_reason, prompt_tokens, cached_tokens, completion_tokens, steps,
        tool_calls, cache_hit, checkpoint, worker, created_at
    )
    SELECT %(tenant)s + n %% 2, 'resp_' || n, 'responses', 'helper', 'helper', 'tiny', '', '{}',
        false, true, CASE WHEN n <= %(waiting)s THEN 'requires_approval' ELSE 'completed' END,
        '', 1, 0, 1, 1, 1, false, '', '', timestamptz '2026-01-01' + n * interval '2 minutes'
    FROM generate_series(1, %(rows)s) AS n;
    INSERT INTO agents_approval (
        tenant_id, public_id, run_id, call_id, tool, arguments, state, resolved_by, reason,
        created_at
    )
    SELECT tenant_id, 'apr_' || id, id, 'c1', 'pay', '{}',
        CASE WHEN state = 'completed' THEN 'approved' ELSE 'pending' END, '', '', created_at
    FROM agents_run;
    ANALYZE agents_run;
    ANALYZE agents_approval;
"""


@pytest.fixture
def inbox(acme, rival):
    assert rival.pk == acme.pk + 1
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"tenant": acme.pk, "rows": ROWS, "waiting": WAITING})


def rows_read(plan):
    """Rows of approvals that a plan read, and how; of parts that ran several times, all of them."""
    if plan.get("Relation Name") == APPROVALS or "approval" in plan.get("Index Name", ""):
        read = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        yield plan["Node Type"], read * plan["Actual Loops"]
    for part in plan.get("Plans", ()):
        yield from rows_read(part)


def explain(sql):
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql)
        (told,) = cursor.fetchone()
    plan = json.loads(told) if isinstance(told, str) else told
    return plan[0]["Plan"]


def ensure_small(captured, most):
    asked = [each["sql"] for each in captured if APPROVALS in each["sql"]]
    assert asked
    for sql in asked:
        for kind, read in rows_read(explain(sql)):
            assert kind != "Seq Scan", sql
            assert read <= most, (kind, read, sql)


@pytest.mark.usefixtures("inbox")
def test_what_nobody_decided_is_found_without_reading_what_was_decided():
    with CaptureQueriesContext(connection) as captured:
        assert expire_waiting(now=NOW - timedelta(days=300), after=timedelta(days=7)) == []

    ensure_small(captured, most=WAITING)


@pytest.mark.usefixtures("inbox")
def test_the_inbox_reads_a_page_of_approvals(console):
    with CaptureQueriesContext(connection) as captured:
        assert console.get(reverse("admin:agents_approval_changelist")).status_code == 200

    ensure_small(captured, most=WAITING * 4)
