"""A connection whose server serves no more is closed at the first answer that says so."""

import psycopg
import pytest
from django.conf import settings
from django.db import InternalError, OperationalError, connection
from psycopg_pool import ConnectionPool

from config.settings.base import database
from kernel.storage.database import (
    UNAVAILABLE,
    DatabaseThreads,
    Statement,
    StatementPool,
    connection_facts,
    ensure_writable,
)
from kernel.storage.postgres import ServerReadOnly, StatementTimeout, limited_statements

READ_ONLY = "SET default_transaction_read_only = on"
WRITE = "CREATE TABLE written (number int)"
PID = "SELECT pg_backend_pid()"
END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def pool(transactional_db):
    """As Django makes it."""
    options = database(settings.DATABASE_URL, pool_size=3)["OPTIONS"]["pool"]
    check = ConnectionPool.check_connection
    with ConnectionPool(kwargs=connection_facts, open=True, check=check, **options) as made:
        yield made


@pytest.fixture
async def statements(transactional_db):
    made = StatementPool(size=3)
    await made.open()
    yield made
    await made.close()


def end_others():
    with psycopg.connect(**connection_facts()) as line:
        line.execute(END_OTHERS)


def fill(pool):
    """As many idle connections as it may have."""
    lines = [pool.getconn() for _ in range(pool.max_size)]
    for line in lines:
        pool.putconn(line)


def test_a_server_that_only_reads_is_unavailable_whatever_its_class():
    assert issubclass(ServerReadOnly, psycopg.OperationalError)
    assert InternalError in UNAVAILABLE


def test_a_connection_to_a_server_that_only_reads_is_dropped(pool):
    with pool.connection() as line:
        demoted = line.execute(PID).fetchone()
        line.execute(READ_ONLY)
    with pytest.raises(ServerReadOnly), pool.connection() as line:
        line.execute(WRITE)
    with pool.connection() as line:
        assert line.execute(PID).fetchone() != demoted
        line.execute("CREATE TEMPORARY TABLE written (number int)")


def test_all_that_are_as_old_are_dropped_with_it(pool):
    fill(pool)
    with pool.connection() as line:
        line.execute(READ_ONLY)
        with pytest.raises(ServerReadOnly):
            line.execute(WRITE)
    assert not [line for line in pool._pool if line._created_at < pool._drained_at]


def test_no_request_notices_that_every_idle_connection_has_ended(pool):
    fill(pool)
    end_others()
    for _ in range(4):
        with pool.connection() as line:
            assert line.execute("SELECT 1").fetchone() == (1,)


def test_a_statement_has_its_time_and_then_loses_its_connection(pool):
    line = pool.getconn()
    pid = line.execute(PID).fetchone()
    with limited_statements(timeout_seconds=0.3), pytest.raises(StatementTimeout):
        line.execute("SELECT pg_sleep(600)")
    pool.putconn(line)
    with pool.connection() as line:
        assert line.execute(PID).fetchone() != pid
        line.execute("SELECT pg_terminate_backend(%s)", pid)


async def test_single_statements_leave_a_server_that_only_reads(statements):
    demote = "SELECT set_config('default_transaction_read_only', 'on', false)"
    await statements.execute(Statement(demote, {}))
    create = Statement("SELECT lo_creat(-1)", {})
    with pytest.raises(psycopg.OperationalError):
        await statements.execute(create)
    assert await statements.execute(create)


async def test_a_thread_finds_no_dead_connection(transactional_db):
    threads = DatabaseThreads(size=1)
    await threads.run(ensure_writable)
    end_others()
    await threads.run(ensure_writable)
    threads.close()


def test_a_database_that_takes_no_writes_is_told(transactional_db):
    with connection.cursor() as cursor:
        cursor.execute(READ_ONLY)
    try:
        with pytest.raises(OperationalError):
            ensure_writable()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = off")
    ensure_writable()
