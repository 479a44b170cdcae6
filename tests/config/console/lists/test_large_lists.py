"""Lists over a twentieth of a large installation: PostgreSQL looks at few rows for each."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.fixtures.console.large_pages import APPENDED, LISTS, PAGES, SUMS, facts, reads_of

SIZES = {
    "tenants": 100,
    "keys": 5_000,
    "big_tenant_keys": 1_000,
    "events": 100_000,
    "audit_entries": 30_000,
    "runs": 10_000,
    "conversations": 3_000,
}
MAX_QUERIES = 12
MAX_ROWS = 35_000
"""Of one page in tables that are appended to: it sums 10,000 events, with those between them."""


PAGES_OF_SIZE = {**LISTS, **PAGES, **SUMS}

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]


def problem_of(console, address: str) -> str:
    """What is wrong with a page, or nothing."""
    with CaptureQueriesContext(connection) as captured:
        answer = console.get(address)
    if answer.status_code != 200:
        return f"answers {answer.status_code}"
    asked = [each for each in captured.captured_queries if "SAVEPOINT" not in each["sql"]]
    if len(asked) > MAX_QUERIES:
        return f"asks {len(asked)} queries"
    reads = [each for each in reads_of(captured) if each.table in APPENDED]
    whole = {each.table for each in reads if each.is_whole}
    rows = sum(each.rows for each in reads)
    if whole:
        return f"reads all of {', '.join(sorted(whole))}"
    return f"looks at {rows:,} rows" if rows > MAX_ROWS else ""


def test_no_page_reads_a_table_that_grows_with_every_request(console):
    call_command("seed_scale", verbosity=0, **SIZES)
    named = facts()
    # Who asks for limits first opens the windows of the quotas; gateways have done so before.
    console.get(PAGES["limits"].format(**named))
    found = {
        name: problem_of(console, address.format(**named))
        for name, address in PAGES_OF_SIZE.items()
    }
    assert {name: problem for name, problem in found.items() if problem} == {}
