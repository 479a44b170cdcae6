"""Connections to PostgreSQL that are closed when their server becomes unusable.

After a failover behind one address, an old connection stays on a read-only server; after a restart
every idle connection is dead. The first such error closes all connections of its pool that are as
old, so that the next statement is sent to the server that has the address now.
"""

import select
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import ConnStatus

RV = TypeVar("RV")

READ_ONLY = "25006"
BROKEN_STATES = frozenset(
    {
        READ_ONLY,
        "25P03",  # the server has ended a transaction that was idle for too long,
        "25P04",  # or that took too long
        "57P01",  # it shuts down, or an operator has ended the session
        "57P02",  # it restarts after a crash
        "57P03",  # it starts, or takes no connections
        "57P04",  # the database was dropped
        "57P05",  # the session was idle for too long
    }
)
"""SQLSTATEs after which a connection is unusable, besides class 08."""

UNAVAILABLE = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
"""The errors of psycopg if the server is the cause, not the statement. A read-only server causes
InternalError, unless the connection is one of ours.
"""

MAX_STATEMENT_SECONDS = 30.0
"""Timeout for PostgreSQL to answer a gateway. Then the connection is closed."""

WaitTimeout = psycopg.errors._WaitTimeout  # noqa: SLF001 - it has no public name

statement_timeout: ContextVar[float | None] = ContextVar("statement_timeout", default=None)


class ServerReadOnly(psycopg.OperationalError):
    """The server is read-only: a demoted primary, or a standby."""

    sqlstate = READ_ONLY


class StatementTimeout(psycopg.OperationalError):
    """The server did not answer in time. The statement may have been executed."""


@contextmanager
def limited_statements(*, timeout_seconds: float) -> Iterator[None]:
    """Limit the time in which statements of this thread wait for an answer inside the block. Then
    StatementTimeout is raised and the connection is closed. The time is measured here, because the
    server may hang.
    """
    token = statement_timeout.set(timeout_seconds)
    try:
        yield
    finally:
        statement_timeout.reset(token)


def is_broken(error: psycopg.Error, connection: psycopg.BaseConnection[Any]) -> bool:
    """Return whether the connection that raised this error must be closed."""
    state = error.sqlstate or ""
    return (
        state in BROKEN_STATES
        or state.startswith("08")
        or connection.pgconn.status == ConnStatus.BAD
    )


def has_unread_input(connection: psycopg.BaseConnection[Any]) -> bool:
    """Return whether an idle connection is readable, which usually means closed. No round trip.

    True also for a closed connection.
    """
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))


class PooledConnection(psycopg.Connection[Any]):
    """A connection of Django's pool."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        limit = statement_timeout.get() if timeout is None else None
        try:
            return super().wait(gen, interval, timeout if limit is None else limit)
        except WaitTimeout as error:
            if limit is None:
                raise
            self.abandon()
            raise StatementTimeout(f"no answer in {limit:g} s") from error
        except psycopg.Error as error:
            if is_broken(error, self):
                self.abandon()
            if error.sqlstate == READ_ONLY:
                raise ServerReadOnly(str(error)) from error
            raise

    def abandon(self) -> None:
        """Close the connection, and all of its pool that are as old or older."""
        pool = getattr(self, "_pool", None)
        self.close()
        if pool is not None:
            pool.drain()


class AsyncConnection(psycopg.AsyncConnection[Any]):
    """A connection of an asyncio pool, whose callers have shorter timeouts of their own."""

    async def wait(
        self,
        gen: PQGen[RV],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's own signature
    ) -> RV:
        limit = MAX_STATEMENT_SECONDS if timeout is None else timeout
        try:
            return await super().wait(gen, interval, limit)
        except WaitTimeout as error:
            if timeout is not None:
                raise
            await self.abandon()
            raise StatementTimeout(f"no answer in {limit:g} s") from error
        except psycopg.Error as error:
            if is_broken(error, self):
                await self.abandon()
            if error.sqlstate == READ_ONLY:
                raise ServerReadOnly(str(error)) from error
            raise

    async def abandon(self) -> None:
        """Close the connection, and all of its pool that are as old or older."""
        pool = getattr(self, "_pool", None)
        await self.close()
        if pool is not None:
            await pool.drain()


async def check_idle(connection: AsyncConnection) -> None:
    """Check a connection before the pool returns it. Raises OperationalError."""
    if has_unread_input(connection):
        await connection.execute("")


def is_alive(connection: psycopg.Connection[Any]) -> bool:
    """Return whether an idle connection seems usable, without a round trip if it does.

    An unusable one is closed, and with it all that are as old.
    """
    if not has_unread_input(connection):
        return True
    try:
        connection.execute("")
    except UNAVAILABLE:
        return False
    return True
