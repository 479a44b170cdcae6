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
    Connection,
    check_idle,
    is_alive,
    limited_statements,
)

P = ParamSpec("P")
T = TypeVar("T")

Rows = list[tuple[Any, ...]]
UNAVAILABLE = (OperationalError, InterfaceError, InternalError)
"""What Django raises when PostgreSQL, and not the query, is to blame: it is away, starts, stops,
only reads, or is out of something. Whether it has done what it was asked is then unknown.

`kernel.storage.postgres` closes the connections that have become useless by it.
"""
MAX_DEAD_CONNECTIONS = 3
"""In a row. The first one found takes the others of its pool with it."""
DJANGOS = frozenset({"context", "cursor_factory"})
"""What Django gives its connections besides, for its own types."""


class ReadOnlyDatabase(OperationalError):
    """It answers, and takes no writes: a standby, or one that was demoted."""


class Statement(NamedTuple):
    """SQL, and the facts for its places."""

    sql: LiteralString
    facts: Mapping[str, Any]


class DatabaseThreads:
    """A bounded pool of threads in which synchronous database code runs. None of them holds a
    connection in between.

    Stock Channels would run the database work of all consumers on one thread.
    """

    def __init__(self, *, size: int) -> None:
        self._executor = ThreadPoolExecutor(max_workers=size, thread_name_prefix="database")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(*args, **kwargs)` on a thread; its connection goes back to the pool."""
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
    """Connections for single statements that a client waits for, asked in the event loop itself.

    A thread takes longer to wake than PostgreSQL takes for a short statement. Each is a
    transaction of its own, and goes on when nobody waits for it any more, as it would on a thread:
    psycopg would wait for a server that hangs to cancel it.
    """

    def __init__(self, *, size: int) -> None:
        """Connects when it is first asked, to what Django connects to then."""
        options = connection.settings_dict["OPTIONS"].get("pool", {})
        ours = {"max_size": size, "connection_class": AsyncConnection, "check": check_idle}
        self._pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
            kwargs=connection_facts, open=False, **{**options, **ours}
        )
        self._lines: set[AsyncConnection] = set()
        self._tasks: set[asyncio.Task[Rows]] = set()

    async def open(self) -> None:
        """Must be called in the event loop that asks."""
        await self._pool.open()

    async def ask(self, statement: Statement) -> Rows:
        """What it returns. Raises `kernel.storage.postgres.UNAVAILABLE`."""
        task = asyncio.get_running_loop().create_task(self._run(statement))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Leave, also a server that does not answer."""
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
    """Let this thread have a connection that was not seen to be dead. Raises UNAVAILABLE."""
    for _ in range(MAX_DEAD_CONNECTIONS):
        connection.ensure_connection()
        if connection.in_atomic_block or is_alive(connection.connection):
            return
        connection.close()
    connection.ensure_connection()


def connection_facts() -> dict[str, Any]:
    """How Django connects, without what is for its own types."""
    facts = connection.get_connection_params()
    given = {name: fact for name, fact in facts.items() if name not in DJANGOS}
    return {**given, "autocommit": True}


def ask(statement: Statement) -> Rows:
    """What it returns, on this thread's connection and in its transaction, if it has one."""
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, statement.facts)
        rows: Rows = cursor.fetchall()
        return rows


def ensure_writable() -> None:
    """Raises UNAVAILABLE if the database does not answer or takes no writes.

    Then the next connection is a new one: it may lead to another server.
    """
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        ((answer,),) = cursor.fetchall()
    if answer == "on":
        if isinstance(connection.connection, Connection) and not connection.in_atomic_block:
            connection.connection.abandon()
            connection.close()
        raise ReadOnlyDatabase("the database takes no writes")


def let_go_of_database() -> None:
    """Hold no connection while somebody else's server takes its time."""
    if not connection.in_atomic_block:
        connection.close()
