"""Connections to PostgreSQL that are closed as soon as their server serves no more.

After a failover behind one address, an old connection stays on a server that only reads; after a
restart every idle connection is dead. The first answer that says so closes all connections of its
pool that are as old, so that the next statement is sent to whoever has the address by now.
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
"""SQLSTATEs after which a connection is of no use (class 08 besides)."""

UNAVAILABLE = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
"""What psycopg raises when the server, and not the statement, is to blame. A server that only reads
says so by InternalError, unless the connection is one of ours.
"""

MAX_STATEMENT_SECONDS = 30.0
"""For one answer of PostgreSQL to a gateway: then its connection is given up."""

WaitTimeout = psycopg.errors._WaitTimeout  # noqa: SLF001 - it has no public name

statement_timeout: ContextVar[float | None] = ContextVar("statement_timeout", default=None)


class ServerReadOnly(psycopg.OperationalError):
    """The server takes no writes: it was demoted, or is a standby."""

    sqlstate = READ_ONLY


class StatementTimeout(psycopg.OperationalError):
    """The server did not answer in time; whether it has carried the statement out is unknown."""


@contextmanager
def limited_statements(*, timeout_seconds: float) -> Iterator[None]:
    """Inside, no statement of this thread waits longer for its answer. Then StatementTimeout is
    raised and the connection is closed. The server may hang, so it is measured here.
    """
    token = statement_timeout.set(timeout_seconds)
    try:
        yield
    finally:
        statement_timeout.reset(token)


def is_broken(error: psycopg.Error, connection: psycopg.BaseConnection[Any]) -> bool:
    """Whether a connection on which this was raised must be closed."""
    state = error.sqlstate or ""
    return (
        state in BROKEN_STATES
        or state.startswith("08")
        or connection.pgconn.status == ConnStatus.BAD
    )


def has_unread_input(connection: psycopg.BaseConnection[Any]) -> bool:
    """Whether an idle connection has something to read: nearly always its end. Costs no round trip.

    True too for one that is closed already.
    """
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))


class Connection(psycopg.Connection[Any]):
    """What Django's pool holds."""

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
        """Close it, and all that its pool has of the same age or more."""
        pool = getattr(self, "_pool", None)
        self.close()
        if pool is not None:
            pool.drain()


class AsyncConnection(psycopg.AsyncConnection[Any]):
    """The same in an event loop. Those who wait bound their waiting themselves, and earlier."""

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
        """Close it, and all that its pool has of the same age or more."""
        pool = getattr(self, "_pool", None)
        await self.close()
        if pool is not None:
            await pool.drain()


async def check_idle(connection: AsyncConnection) -> None:
    """For a pool that gives a connection out. Raises OperationalError if it is dead."""
    if has_unread_input(connection):
        await connection.execute("")


def is_alive(connection: psycopg.Connection[Any]) -> bool:
    """Whether an idle connection can be used, as far as can be seen without a round trip.

    One that cannot is closed, and with it all that are as old.
    """
    if not has_unread_input(connection):
        return True
    try:
        connection.execute("")
    except UNAVAILABLE:
        return False
    return True
