"""What one socket follows: the runs that it asked for, those it resumed, and conversations.

Runs belong to the worker. A socket that ends takes only its readers along.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any

import msgspec

from agents.doors.base.referenced_input import read_whole_input
from agents.doors.base.rendering import error_frame
from agents.doors.http.create_response import as_create_run, ensure_honoured
from agents.doors.websocket.socket_frames import CreateResponse, SubscribeConversation
from agents.doors.websocket.subscription import Subscription
from agents.errors import NotResumable, TooManyRuns
from agents.events.own_names import in_own_names
from agents.runtime.execution.ports import ActiveRun, Runs
from agents.schema.items import Item
from agents.schema.run_records import RunStore
from agents.schema.run_request import RunRequest
from kernel import metrics
from kernel.asgi import ClientLeft
from kernel.errors import PlatformError
from tenants.admission.principal import Principal

NAME = "responses_socket"
MAX_WAITING_RUNS = 16
MAX_SUBSCRIPTIONS = 16
MAX_UNSTORED = 4
ENDING_TIMEOUT_SECONDS = 1.0

Tell = Callable[[list[dict[str, Any]]], Awaitable[None]]
TellEvents = Callable[[list[bytes]], Awaitable[None]]


class SocketRuns:
    """Starts runs lane by lane, and relays the events of whatever the client follows."""

    def __init__(self, runner: Runs, store: RunStore, tell: Tell, send: TellEvents) -> None:
        self._runner = runner
        self._store = store
        self._tell = tell
        self._send = send
        self._lanes: dict[str | None, ActiveRun] = {}
        self._last_followers: dict[str | None, asyncio.Task[None]] = {}
        """By lane: what relays its last run."""
        self._unfinished: dict[str, ActiveRun] = {}
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._seen: dict[str, int] = {}
        """The last event of each run that went out on this socket, while it goes on."""
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._unstored: dict[str, tuple[Item, ...]] = {}
        """What was said up to responses that no table keeps: this socket may continue them."""

    async def create(self, frame: CreateResponse, principal: Principal) -> None:
        """Start a run, behind those of its lane. Raises TooManyRuns; other refusals are told."""
        try:
            ensure_honoured(frame)
            with in_own_names():
                await self._create(frame, principal)
        except PlatformError as error:
            context = {"stream_id": frame.stream_id, "client_id": frame.client_id}
            known = {name: value for name, value in context.items() if value is not None}
            await self._tell([error_frame(error, **known)])

    async def _create(self, frame: CreateResponse, principal: Principal) -> None:
        if len(self._unfinished) > MAX_WAITING_RUNS:
            raise TooManyRuns(retry_after=1)
        items = await read_whole_input(frame.input, tenant_id=principal.tenant_id, runs=self._store)
        create = as_create_run(
            frame, items=items, door=NAME, busy="enqueue", goes_on=True, stream_id=frame.stream_id
        )
        known = await self._said_before(create.previous_response or "")
        if known is not None:
            create = continuing(create, known)
        behind = self._lanes.get(frame.stream_id)
        if behind is not None and behind.over.is_set():
            behind = None
        run = await self._runner.start(principal, create, behind=behind)
        self._note(run, lane=frame.stream_id)
        started = await asyncio.shield(run.started)
        if frame.client_id is not None:
            ack = {"type": "ack", "client_id": frame.client_id, "response_id": started.run_id}
            await self._tell([{**ack, "duplicate": True} if started.joined else ack])
        # A conversation that is subscribed to tells of it in its turn.
        if create.conversation not in self._subscriptions:
            lane, run_id = frame.stream_id, started.run_id
            before = self._last_followers.get(lane)
            self.resume(principal.tenant_id, run_id, after=-1, before=before)
            self._last_followers[lane] = self._followers[run_id]

    def _note(self, run: ActiveRun, *, lane: str | None) -> None:
        self._lanes[lane] = run
        self._unfinished[run.id] = run
        begun = time.monotonic()

        def ended(_: object) -> None:
            self._unfinished.pop(run.id, None)
            self._keep_unstored(run)
            if self._lanes.get(lane) is run:
                del self._lanes[lane]
            status = run.error.status if run.error else 200
            metrics.series(metrics.requests, NAME, run.route, str(status)).inc()
            metrics.series(metrics.request_duration, NAME).observe(time.monotonic() - begun)

        assert run.task is not None, "a run that was started"
        run.task.add_done_callback(ended)

    async def _said_before(self, run_id: str) -> tuple[Item, ...] | None:
        """Up to a response that is not stored, if this socket made it."""
        run = self._unfinished.get(run_id)
        if run is not None and not run.create.store:
            # Its client has its last event a moment before it is over.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ENDING_TIMEOUT_SECONDS):
                    await run.over.wait()
                self._keep_unstored(run)
        return self._unstored.get(run_id)

    def _keep_unstored(self, run: ActiveRun) -> None:
        """Let the client continue a response that is not stored, on this socket."""
        if run.create.store or run.error is not None:
            return
        self._unstored[run.id] = (*run.create.before, *run.create.input, *run.made)
        while len(self._unstored) > MAX_UNSTORED:
            del self._unstored[next(iter(self._unstored))]

    def resume(
        self, tenant_id: int, run_id: str, *, after: int, before: asyncio.Task[None] | None = None
    ) -> None:
        """Relay a run's events beyond `after`. Who asks twice gets them from there again.

        `before` relays the run before it in its lane, whose last event comes first.
        """
        self._let_go(run_id)
        self._seen[run_id] = after
        self._followers[run_id] = self._task(self._relay_after(tenant_id, run_id, before), run_id)

    async def _relay_after(
        self, tenant_id: int, run_id: str, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await asyncio.wait({before})
        await self._relay(tenant_id, run_id)

    def subscribe(self, tenant_id: int, frame: SubscribeConversation) -> None:
        """Relay every run of a conversation, one after the other."""
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise TooManyRuns("This socket is subscribed to too many conversations.")
        place = frame.conversation
        if place in self._subscriptions:
            self._subscriptions.pop(place).cancel()
        if frame.response_id is not None:
            self._seen[frame.response_id] = frame.starting_after

        async def relay(run_id: str) -> None:
            self._let_go(run_id)
            self._seen.setdefault(run_id, frame.starting_after if frame.response_id is None else -1)
            await self._relay(tenant_id, run_id)

        subscription = Subscription(self._runner, self._store, tenant_id, place, relay)
        work = self._subscribed(subscription, frame)
        self._subscriptions[place] = self._task(work, place)

    async def _subscribed(self, subscription: Subscription, frame: SubscribeConversation) -> None:
        try:
            await subscription.run(since=frame.response_id)
        except PlatformError as error:
            await self._tell([error_frame(error, conversation=frame.conversation)])
        finally:
            if self._subscriptions.get(frame.conversation) is asyncio.current_task():
                del self._subscriptions[frame.conversation]

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.create_task(until_client_leaves(work), name=name)

    def _let_go(self, run_id: str) -> None:
        follower = self._followers.pop(run_id, None)
        if follower is not None:
            follower.cancel()

    async def _relay(self, tenant_id: int, run_id: str) -> None:
        after = self._seen[run_id]
        try:
            follow = self._runner.follow(tenant_id, run_id, after=after)
            async with aclosing(follow):
                async for events in follow:
                    await self._send([event.data for event in events])
                    self._seen[run_id] = events[-1].number
        except NotResumable as error:
            await self._tell([lost(error, run_id, was_seen=self._seen[run_id] > after)])
        except PlatformError as error:
            await self._tell([error_frame(error, response_id=run_id)])
        self._seen.pop(run_id, None)
        if self._followers.get(run_id) is asyncio.current_task():
            del self._followers[run_id]

    def close(self) -> None:
        """The socket has ended; its runs go on."""
        for task in (*self._followers.values(), *self._subscriptions.values()):
            task.cancel()


def continuing(create: RunRequest, before: tuple[Item, ...]) -> RunRequest:
    """The run, with what was said before in the place of a response that is not stored."""
    return msgspec.structs.replace(
        create, before=before, previous_response=None, continues=create.previous_response
    )


async def until_client_leaves(work: Coroutine[Any, Any, None]) -> None:
    """What could not be told to a client that has left needs no answer."""
    try:
        await work
    except ClientLeft:
        return


def lost(error: NotResumable, run_id: str, *, was_seen: bool) -> dict[str, Any]:
    """The log broke off: who has seen a part must read the conversation again."""
    if was_seen:
        return {"type": "resync", "reason": error.code, "response_id": run_id}
    return error_frame(error, response_id=run_id)
