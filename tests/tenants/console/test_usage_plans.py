"""The console's pages of usage ask questions that indexes answer, however long the ledger is."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tenants.models import Tenant

ROWS = 100_000
TENANTS = 50
LEDGER = "tenants_usageevent"
PAGE = "admin:tenants_usageevent_changelist"

FILL = f"""
    INSERT INTO tenants_usageevent (
        tenant_id, api_key_id, request_id, client_request_id, kind, door, agent, route, pool,
        endpoint, prompt_tokens, completion_tokens, cached_tokens, cost_micro, estimated, status,
        error_code, duration_ms, started_at, ended_at, decision, charges
    )
    SELECT %(tenant)s + n %% {TENANTS}, 1 + n %% 500, 'bulk_' || n,
        CASE WHEN n %% 9 = 0 THEN 'c' || n ELSE '' END,
        CASE WHEN n %% 5000 = 0 THEN 'abandoned' ELSE 'final' END, 'chat', '',
        'smollm2', '', '', 10, 20, 0, 5, false,
        CASE WHEN n %% 2500 = 0 THEN 'failed' ELSE 'completed' END, '', 12,
        timestamptz '2026-01-01' + n * interval '30 seconds',
        timestamptz '2026-01-01' + n * interval '30 seconds', '{{}}', '[]'
    FROM generate_series(1, %(rows)s) AS n
"""
LARGEST_READ = 11_000
"""Rows of the ledger that a page may read: what it sums up at most, and its filters' choices."""


@pytest.fixture
def ledger(acme, rival):
    others = range(acme.pk + 2, acme.pk + TENANTS)
    Tenant.objects.bulk_create(Tenant(pk=pk, slug=f"other-{pk}", name="Other") for pk in others)
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"tenant": acme.pk, "rows": ROWS})
        # What is joined to it, too: by itself the server looks at small tables when it likes.
        cursor.execute("ANALYZE tenants_usageevent, tenants_tenant, tenants_apikey")
    return acme


def scans(plan):
    """Every node of a plan that reads the ledger: its kind and how many rows it read."""
    if plan.get("Relation Name") == LEDGER or "usage_" in plan.get("Index Name", ""):
        read = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        yield plan["Node Type"], read * plan["Actual Loops"]
    for part in plan.get("Plans", ()):
        yield from scans(part)


def questions(console, **asked):
    """Every query of the ledger behind a page."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert console.get(reverse(PAGE), asked).status_code == 200
    return [query["sql"] for query in captured if f'FROM "{LEDGER}"' in query["sql"]]


ASKED = {
    "all": {},
    "a later page": {"p": "20"},
    "a tenant": {},
    "a key": {"api_key__id__exact": "7"},
    "a tenant and days": {
        "started_at_from": "2026-01-10",
        "started_at_to": "2026-01-11",
    },
    "days": {"started_at_from": "2026-01-10", "started_at_to": "2026-01-11"},
    "a route": {"route": "smollm2"},
    "failures": {"status__exact": "failed"},
    "abandoned": {"kind__exact": "abandoned"},
    "our request id": {"q": "bulk_77"},
    "the client's request id": {"q": "c99"},
    "nothing": {"q": "nobody"},
}


def explain(sql):
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql)
        (told,) = cursor.fetchone()
    return (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]


@pytest.mark.slow
def test_no_question_reads_the_whole_ledger(console, ledger):
    # One test for all: filling the ledger is what takes its time.
    for case, parameters in ASKED.items():
        asked = {**parameters, **({"tenant__id__exact": ledger.pk} if "tenant" in case else {})}
        for sql in questions(console, **asked):
            for kind, read in scans(explain(sql)):
                assert kind != "Seq Scan", (case, sql)
                assert read <= LARGEST_READ, (case, sql)


def test_nothing_is_counted_to_number_pages(console):
    assert not [sql for sql in questions(console) if sql.startswith("SELECT COUNT")]


def test_the_dashboard_reads_a_screenful_of_the_ledger(console):
    with CaptureQueriesContext(connection) as captured:
        console.get(reverse("admin:index"))

    asked = [query["sql"] for query in captured if f'FROM "{LEDGER}"' in query["sql"]]
    assert len(asked) == 1
    assert "LIMIT 8" in asked[0]


def test_the_page_of_usage_reads_no_ledger(console, acme):
    with CaptureQueriesContext(connection) as captured:
        assert console.get(reverse("admin:tenants_usagehour_changelist")).status_code == 200

    assert not [query for query in captured if LEDGER in query["sql"]]
