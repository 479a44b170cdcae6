"""Django's ORM for asyncio code: on a few threads, and never holding a connection in between."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from django.db import connection

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseThreads:
    """A bounded pool of threads in which synchronous database code runs.

    Stock Channels would run the database work of all consumers on one thread.
    """

    def __init__(self, *, size: int) -> None:
        self._executor = ThreadPoolExecutor(max_workers=size, thread_name_prefix="database")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(*args, **kwargs)` on a thread; its connection goes back to the pool."""
        loop = asyncio.get_running_loop()
        context = copy_context()

        def call() -> T:
            try:
                return context.run(function, *args, **kwargs)
            finally:
                connection.close()

        return await loop.run_in_executor(self._executor, call)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def let_go_of_database() -> None:
    """Hold no connection while somebody else's server takes its time."""
    if not connection.in_atomic_block:
        connection.close()
