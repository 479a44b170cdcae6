"""PostgreSQL for asyncio code: Django's ORM on a few threads, and single statements without one."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, LiteralString, NamedTuple, ParamSpec, TypeVar

from django.db import InterfaceError, InternalError, OperationalError, connection
from psycopg_pool import AsyncConnectionPool

from kernel.storage.postgres import (
    MAX_STATEMENT_SECONDS,
    AsyncConnection,
    PooledConnection,
    check_idle,
    is_alive,
    limited_statements,
)

P = ParamSpec("P")
T = TypeVar("T")

Rows = list[tuple[Any, ...]]
UNAVAILABLE = (OperationalError, InterfaceError, InternalError)
"""The errors of Django if PostgreSQL is the cause, not the query: it is unavailable, starts, stops,
is read-only, or lacks resources. Whether the statement was executed is then unknown.

`kernel.storage.postgres` closes the connections that have become unusable.
"""
MAX_DEAD_CONNECTIONS = 3
"""Maximum dead connections in a row. The first one empties the pool."""
DJANGOS = frozenset({"context", "cursor_factory"})
"""Parameters of Django's connections for its own types."""


class ReadOnlyDatabase(OperationalError):
    """The server is read-only: a standby, or a demoted primary."""


class Statement(NamedTuple):
    """SQL with its parameters."""

    sql: LiteralString
    facts: Mapping[str, Any]


class DatabaseThreads:
    """A bounded pool of threads in which synchronous database code runs. Between calls no thread
    holds a connection.

    Stock Channels would run the database work of all consumers on one thread.
    """

    def __init__(self, *, size: int) -> None:
        self._executor = ThreadPoolExecutor(max_workers=size, thread_name_prefix="database")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function(*args, **kwargs)` on a thread; its connection goes back to the pool."""
        loop = asyncio.get_running_loop()

        def call() -> T:
            try:
                with limited_statements(timeout_seconds=MAX_STATEMENT_SECONDS):
                    ensure_live_connection()
                    return function(*args, **kwargs)
            finally:
                connection.close()

        return await loop.run_in_executor(self._executor, copy_context().run, call)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


class StatementPool:
    """Connections for single statements that clients wait for, executed in the event loop itself.

    A thread takes longer to wake than PostgreSQL takes for a short statement. Each statement is a
    transaction of its own, and continues if its caller is cancelled, as it would on a thread:
    psycopg would wait for a server that hangs to cancel it.
    """

    def __init__(self, *, size: int) -> None:
        """Connects on first use, with Django's settings at that time."""
        options = connection.settings_dict["OPTIONS"].get("pool", {})
        ours = {"max_size": size, "connection_class": AsyncConnection, "check": check_idle}
        self._pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
            kwargs=connection_facts, open=False, **{**options, **ours}
        )
        self._lines: set[AsyncConnection] = set()
        self._tasks: set[asyncio.Task[Rows]] = set()

    async def open(self) -> None:
        """Open the pool, in the event loop of the callers."""
        await self._pool.open()

    async def execute(self, statement: Statement) -> Rows:
        """Return the rows of a statement. Raises `kernel.storage.postgres.UNAVAILABLE`."""
        task = asyncio.get_running_loop().create_task(self._run(statement))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Close the pool, also if the server does not answer."""
        for line in tuple(self._lines):
            await line.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.close()

    async def _run(self, statement: Statement) -> Rows:
        async with self._pool.connection() as line:
            self._lines.add(line)
            try:
                cursor = await line.execute(statement.sql, statement.facts)
                return await cursor.fetchall()
            finally:
                self._lines.discard(line)


def ensure_live_connection() -> None:
    """Give this thread a connection that is not known to be dead. Raises UNAVAILABLE."""
    for _ in range(MAX_DEAD_CONNECTIONS):
        connection.ensure_connection()
        if connection.in_atomic_block or is_alive(connection.connection):
            return
        connection.close()
    connection.ensure_connection()


def connection_facts() -> dict[str, Any]:
    """Return the parameters of Django's connections without those for its own types."""
    facts = connection.get_connection_params()
    given = {name: fact for name, fact in facts.items() if name not in DJANGOS}
    return {**given, "autocommit": True}


def execute(statement: Statement) -> Rows:
    """Return the rows of a statement on this thread's connection, in its transaction, if any."""
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, statement.facts)
        rows: Rows = cursor.fetchall()
        return rows


def ensure_writable() -> None:
    """Raises UNAVAILABLE if the database does not answer or is read-only.

    In that case the next connection is a new one: it may lead to another server.
    """
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        ((answer,),) = cursor.fetchall()
    if answer == "on":
        if isinstance(connection.connection, PooledConnection) and not connection.in_atomic_block:
            connection.connection.abandon()
            connection.close()
        raise ReadOnlyDatabase("the database is read-only")


def close_database_connection() -> None:
    """Return the connection to the pool before a slow call to another server."""
    if not connection.in_atomic_block:
        connection.close()
