"""The subscription to a conversation: it relays every run in order, from first to last event."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from agents.events.pubsub import conversation_channel
from agents.runtime.execution.ports import RunService
from agents.schema.run_store import RunStore

POLL_SECONDS = 15.0
"""Interval of polls of the database, because a message between workers may be lost."""

Relay = Callable[[str], Awaitable[None]]


class Subscription:
    """Relays the runs of a conversation in the order in which they started.

    Runs of a conversation never overlap, so all subscribers get the same events in the same order.
    """

    def __init__(
        self, runner: RunService, store: RunStore, tenant_id: int, conversation: str, relay: Relay
    ) -> None:
        self._runner = runner
        self._store = store
        self._tenant_id = tenant_id
        self._conversation = conversation
        self._relay = relay
        self._notified = asyncio.Event()

    async def run(self, *, since: str | None) -> None:
        """Relay the rest of the run `since` and all later runs, until cancelled.

        None: the run in progress, if there is one, and all later runs. Raises NotFound.
        """
        pubsub = conversation_channel(self._conversation)
        with self._runner.pubsub.subscribed(pubsub, lambda _: self._notified.set()):
            last = await self._relay_first(since)
            while True:
                self._notified.clear()
                runs = await self._store.runs_started_since(
                    self._tenant_id, self._conversation, last
                )
                for run_id in runs:
                    await self._relay(run_id)
                    last = run_id
                if not runs:
                    await self._wait()

    async def _relay_first(self, since: str | None) -> str | None:
        """Relay the first run. Returns its id, or that of the last run before the subscription."""
        place = self._tenant_id, self._conversation
        if since is not None:
            await self._store.runs_started_since(
                *place, since
            )  # raises NotFound for a run of another conversation
            await self._relay(since)
            return since
        last, is_running = await self._store.last_started_run(*place)
        if last is not None and is_running:
            await self._relay(last)
        return last

    async def _wait(self) -> None:
        # Not `wait_for`: before Python 3.12 it may swallow a cancellation.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._notified.wait()
