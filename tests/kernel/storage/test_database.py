"""The connections to PostgreSQL: used soon after it is back, and left even if it hangs."""

import asyncio
import contextlib
import time

import psycopg
import pytest
from django.conf import settings
from psycopg_pool import ConnectionPool

from config.settings.base import database
from kernel.storage.database import Statement, StatementPool, connection_facts
from tests.fixtures.servers.ports import free_port

OUTAGE_SECONDS = 8
BACK_SECONDS = 3
SLEEP = "SELECT pg_sleep(60)"
ONE = Statement("SELECT %(number)s::int", {"number": 1})


def do(sql, *facts):
    with psycopg.connect(**connection_facts()) as line:
        line.execute(sql, facts)


def is_running(sql):
    """Return whether the server executes this statement, for any connection."""
    query = "SELECT 1 FROM pg_stat_activity WHERE query = %s AND state = 'active'"
    with psycopg.connect(**connection_facts()) as line:
        return line.execute(query, [sql]).fetchone() is not None


def ask(pool):
    with pool.connection(timeout=0.2) as line:
        return line.execute("SELECT 1").fetchone()


@pytest.mark.slow
@pytest.mark.django_db
def test_a_database_that_was_away_for_long_is_used_soon_after_it_is_back():
    """Not after as long again, as by a pool that waits ever longer between attempts."""
    options = database(settings.DATABASE_URL, pool_size=4)["OPTIONS"]["pool"]
    where = {"host": "127.0.0.1", "port": free_port()}
    with ConnectionPool(kwargs=lambda: {**connection_facts(), **where}, open=True, **options) as it:
        ends = time.monotonic() + OUTAGE_SECONDS
        while time.monotonic() < ends:
            with pytest.raises(psycopg.OperationalError):
                ask(it)
        where.clear()
        ends = time.monotonic() + BACK_SECONDS
        answer = None
        while answer is None:
            assert time.monotonic() < ends, "still away"
            with contextlib.suppress(psycopg.OperationalError):
                answer = ask(it)
    assert answer == (1,)


@pytest.fixture
async def statements(transactional_db):
    pool = StatementPool(size=2)
    await pool.open()
    yield pool
    await pool.close()


async def test_a_statement_returns_its_rows(statements):
    assert await statements.execute(ONE) == [(1,)]


async def test_more_statements_than_connections_take_turns(statements):
    asked = (statements.execute(Statement("SELECT %(n)s::int", {"n": n})) for n in range(20))
    assert await asyncio.gather(*asked) == [[(n,)] for n in range(20)]


async def test_a_statement_that_nobody_waits_for_goes_on(statements):
    do("CREATE TABLE left_behind (number int)")
    slow = "WITH later AS (SELECT pg_sleep(0.5)) INSERT INTO left_behind SELECT 1 FROM later"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await statements.execute(Statement(f"{slow} RETURNING number", {}))
    await asyncio.sleep(1)
    assert await statements.execute(Statement("SELECT number FROM left_behind", {})) == [(1,)]
    do("DROP TABLE left_behind")


async def test_it_is_left_while_a_statement_hangs(transactional_db):
    pool = StatementPool(size=2)
    await pool.open()
    hangs = asyncio.create_task(pool.execute(Statement(SLEEP, {})))
    await asyncio.sleep(0.3)
    await pool.close()
    assert is_running(SLEEP), "the pool waited for the statement"
    with pytest.raises((psycopg.OperationalError, asyncio.CancelledError)):
        await hangs
    do(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = '{SLEEP}'")


async def test_a_connection_that_broke_while_it_was_idle_is_replaced_unnoticed(statements):
    ((pid,),) = await statements.execute(Statement("SELECT pg_backend_pid()", {}))
    do("SELECT pg_terminate_backend(%s)", pid)
    await asyncio.sleep(0.1)
    assert await statements.execute(ONE) == [(1,)]
