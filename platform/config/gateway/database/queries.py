"""PostgreSQL for the parts of a gateway worker: queries on threads, and single statements."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import psycopg
from django.db import DataError

from kernel.errors import DatabaseUnavailable, UnstorableValue
from kernel.storage import postgres
from kernel.storage.database import (
    UNAVAILABLE,
    DatabaseThreads,
    Rows,
    Statement,
    StatementPool,
)

P = ParamSpec("P")
T = TypeVar("T")

DATABASE_THREADS = 4
QUERY_TIMEOUT_SECONDS = 1.7
"""Timeout of queries that clients wait for: they get `database_unavailable` within 2 s."""


class GatewayDatabase:
    """Every method raises DatabaseUnavailable if PostgreSQL fails or takes too long, and
    UnstorableValue for a value that PostgreSQL refuses.
    """

    def __init__(self, *, statement_connections: int) -> None:
        self._threads = DatabaseThreads(size=DATABASE_THREADS)
        self._statements = StatementPool(size=statement_connections)

    async def open(self) -> None:
        await self._statements.open()

    async def close(self) -> None:
        try:
            await self._statements.close()
        finally:
            self._threads.close()

    async def query(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run synchronous database code on a thread."""
        return await self.query_within(QUERY_TIMEOUT_SECONDS, partial(function, *args, **kwargs))

    async def query_within(self, seconds: float, function: Callable[[], T]) -> T:
        """Run synchronous database code on a thread, with a timeout of its own."""
        try:
            async with asyncio.timeout(seconds):
                return await self._threads.run(function)
        except DataError as error:
            raise UnstorableValue from error
        except (*UNAVAILABLE, TimeoutError) as error:
            raise DatabaseUnavailable from error

    async def execute(self, statement: Statement) -> Rows:
        """Execute one statement in a transaction of its own, without a thread."""
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_SECONDS):
                return await self._statements.execute(statement)
        except psycopg.DataError as error:
            raise UnstorableValue from error
        except (*postgres.UNAVAILABLE, TimeoutError) as error:
            raise DatabaseUnavailable from error
