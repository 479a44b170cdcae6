"""A conversation as its devices see it: every run from its first event to its last, in turn."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from agents.events.pubsub import conversation_channel
from agents.runtime.execution.ports import Runs
from agents.schema.run_records import RunStore

LOOK_SECONDS = 15.0
"""Polled this often: a message between workers may be lost."""

Relay = Callable[[str], Awaitable[None]]


class Subscription:
    """Relays the runs of a conversation in the order in which they began.

    Runs of a conversation never overlap, so that all devices see the same events in one order.
    """

    def __init__(
        self, runner: Runs, store: RunStore, tenant_id: int, conversation: str, relay: Relay
    ) -> None:
        self._runner = runner
        self._store = store
        self._tenant_id = tenant_id
        self._conversation = conversation
        self._relay = relay
        self._woken = asyncio.Event()

    async def run(self, *, since: str | None) -> None:
        """Relay until cancelled: the rest of the run `since`, and what follows.

        None: the run that goes on, if any, and what follows. Raises NotFound.
        """
        pubsub = conversation_channel(self._conversation)
        with self._runner.pubsub.heard(pubsub, lambda _: self._woken.set()):
            last = await self._begin(since)
            while True:
                self._woken.clear()
                runs = await self._store.begun_since(self._tenant_id, self._conversation, last)
                for run_id in runs:
                    await self._relay(run_id)
                    last = run_id
                if not runs:
                    await self._sleep()

    async def _begin(self, since: str | None) -> str | None:
        """The run after which the others come."""
        place = self._tenant_id, self._conversation
        if since is not None:
            await self._store.begun_since(*place, since)  # raises for one of another conversation
            await self._relay(since)
            return since
        last, goes_on = await self._store.last_begun(*place)
        if last is not None and goes_on:
            await self._relay(last)
        return last

    async def _sleep(self) -> None:
        # Not `wait_for`: before Python 3.12 it may swallow a cancellation.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._woken.wait()
