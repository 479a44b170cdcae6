"""The runs that one socket follows: created, resumed, or of a subscribed conversation.

Runs belong to the worker and continue when the socket closes.
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
from agents.doors.http.create_response import as_create_run, ensure_supported
from agents.doors.websocket.socket_frames import CreateResponse, SubscribeConversation
from agents.doors.websocket.subscription import Subscription
from agents.errors import NotResumable, TooManyRuns
from agents.events.responses_names import with_responses_names
from agents.runtime.execution.ports import RunHandle, RunService
from agents.schema.items import Item
from agents.schema.run_request import RunRequest
from agents.schema.run_store import RunStore
from kernel import metrics
from kernel.asgi import ClientLeft
from kernel.errors import PlatformError
from tenants.admission.principal import Principal

NAME = "responses_socket"
MAX_WAITING_RUNS = 16
MAX_SUBSCRIPTIONS = 16
MAX_UNSTORED = 4
ENDING_TIMEOUT_SECONDS = 1.0

SendFrames = Callable[[list[dict[str, Any]]], Awaitable[None]]
SendEvents = Callable[[list[bytes]], Awaitable[None]]


class SocketRuns:
    """Starts runs and relays the events of the runs that the client follows.

    A lane is a `stream_id`: its runs are executed one after the other.
    """

    def __init__(
        self, runner: RunService, store: RunStore, send_frames: SendFrames, send_events: SendEvents
    ) -> None:
        self._runner = runner
        self._store = store
        self._send_frames = send_frames
        self._send_events = send_events
        self._lanes: dict[str | None, RunHandle] = {}
        self._last_followers: dict[str | None, asyncio.Task[None]] = {}
        """The task that relays the last run of each lane."""
        self._unfinished: dict[str, RunHandle] = {}
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._last_numbers: dict[str, int] = {}
        """The number of the last event that was sent on this socket, of each run in progress."""
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._unstored: dict[str, tuple[Item, ...]] = {}
        """The history of each unstored response, which only this socket can continue."""

    async def create(self, frame: CreateResponse, principal: Principal) -> None:
        """Start a run after those of its lane. Errors are sent as frames."""
        try:
            ensure_supported(frame)
            with with_responses_names():
                await self._create(frame, principal)
        except PlatformError as error:
            context = {"stream_id": frame.stream_id, "client_id": frame.client_id}
            known = {name: value for name, value in context.items() if value is not None}
            await self._send_frames([error_frame(error, **known)])

    async def _create(self, frame: CreateResponse, principal: Principal) -> None:
        if len(self._unfinished) > MAX_WAITING_RUNS:
            raise TooManyRuns(retry_after=1)
        items = await read_whole_input(frame.input, tenant_id=principal.tenant_id, runs=self._store)
        create = as_create_run(
            frame,
            items=items,
            door=NAME,
            busy="enqueue",
            survives_disconnect=True,
            stream_id=frame.stream_id,
        )
        known = await self._unstored_history(create.previous_response or "")
        if known is not None:
            create = with_history(create, known)
        behind = self._lanes.get(frame.stream_id)
        if behind is not None and behind.finished.is_set():
            behind = None
        run = await self._runner.start(principal, create, behind=behind)
        self._track(run, lane=frame.stream_id)
        started = await asyncio.shield(run.started)
        if frame.client_id is not None:
            ack = {"type": "ack", "client_id": frame.client_id, "response_id": started.run_id}
            await self._send_frames([{**ack, "duplicate": True} if started.joined else ack])
        # The subscription to a conversation relays its runs itself.
        if create.conversation not in self._subscriptions:
            lane, run_id = frame.stream_id, started.run_id
            before = self._last_followers.get(lane)
            self.resume(principal.tenant_id, run_id, after=-1, before=before)
            self._last_followers[lane] = self._followers[run_id]

    def _track(self, run: RunHandle, *, lane: str | None) -> None:
        self._lanes[lane] = run
        self._unfinished[run.id] = run
        started_at = time.monotonic()

        def on_finished(_: object) -> None:
            self._unfinished.pop(run.id, None)
            self._remember_unstored(run)
            if self._lanes.get(lane) is run:
                del self._lanes[lane]
            status = run.error.status if run.error else 200
            metrics.series(metrics.requests, NAME, run.route, str(status)).inc()
            metrics.series(metrics.request_duration, NAME).observe(time.monotonic() - started_at)

        assert run.task is not None, "the run was started"
        run.task.add_done_callback(on_finished)

    async def _unstored_history(self, run_id: str) -> tuple[Item, ...] | None:
        """Return the history up to an unstored response. None for one of another socket."""
        run = self._unfinished.get(run_id)
        if run is not None and not run.request.store:
            # The client gets the last event shortly before the run has finished.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ENDING_TIMEOUT_SECONDS):
                    await run.finished.wait()
                self._remember_unstored(run)
        return self._unstored.get(run_id)

    def _remember_unstored(self, run: RunHandle) -> None:
        """Remember the history of a response that is not stored, so that it can be continued."""
        if run.request.store or run.error is not None:
            return
        self._unstored[run.id] = (*run.request.before, *run.request.input, *run.output)
        while len(self._unstored) > MAX_UNSTORED:
            del self._unstored[next(iter(self._unstored))]

    def resume(
        self, tenant_id: int, run_id: str, *, after: int, before: asyncio.Task[None] | None = None
    ) -> None:
        """Relay a run's events after the number `after`. A second call starts again from there.

        The events follow those of the task `before`, which relays the previous run of the lane.
        """
        self._cancel_follower(run_id)
        self._last_numbers[run_id] = after
        self._followers[run_id] = self._task(self._relay_after(tenant_id, run_id, before), run_id)

    async def _relay_after(
        self, tenant_id: int, run_id: str, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await asyncio.wait({before})
        await self._relay(tenant_id, run_id)

    def subscribe(self, tenant_id: int, frame: SubscribeConversation) -> None:
        """Relay every run of a conversation in order. Raises TooManyRuns."""
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise TooManyRuns("This socket is subscribed to too many conversations.")
        place = frame.conversation
        if place in self._subscriptions:
            self._subscriptions.pop(place).cancel()
        if frame.response_id is not None:
            self._last_numbers[frame.response_id] = frame.starting_after

        async def relay(run_id: str) -> None:
            self._cancel_follower(run_id)
            self._last_numbers.setdefault(
                run_id, frame.starting_after if frame.response_id is None else -1
            )
            await self._relay(tenant_id, run_id)

        subscription = Subscription(self._runner, self._store, tenant_id, place, relay)
        work = self._subscribed(subscription, frame)
        self._subscriptions[place] = self._task(work, place)

    async def _subscribed(self, subscription: Subscription, frame: SubscribeConversation) -> None:
        try:
            await subscription.run(since=frame.response_id)
        except PlatformError as error:
            await self._send_frames([error_frame(error, conversation=frame.conversation)])
        finally:
            if self._subscriptions.get(frame.conversation) is asyncio.current_task():
                del self._subscriptions[frame.conversation]

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.create_task(ignore_client_left(work), name=name)

    def _cancel_follower(self, run_id: str) -> None:
        follower = self._followers.pop(run_id, None)
        if follower is not None:
            follower.cancel()

    async def _relay(self, tenant_id: int, run_id: str) -> None:
        after = self._last_numbers[run_id]
        try:
            follow = self._runner.follow(tenant_id, run_id, after=after)
            async with aclosing(follow):
                async for events in follow:
                    await self._send_events([event.data for event in events])
                    self._last_numbers[run_id] = events[-1].number
        except NotResumable as error:
            await self._send_frames(
                [lost_events_frame(error, run_id, was_seen=self._last_numbers[run_id] > after)]
            )
        except PlatformError as error:
            await self._send_frames([error_frame(error, response_id=run_id)])
        self._last_numbers.pop(run_id, None)
        if self._followers.get(run_id) is asyncio.current_task():
            del self._followers[run_id]

    def close(self) -> None:
        """Stop relaying. The runs continue."""
        for task in (*self._followers.values(), *self._subscriptions.values()):
            task.cancel()


def with_history(create: RunRequest, before: tuple[Item, ...]) -> RunRequest:
    """Replace the reference to a response that is not stored by its history."""
    return msgspec.structs.replace(
        create, before=before, previous_response=None, continues=create.previous_response
    )


async def ignore_client_left(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends or the client has left."""
    try:
        await work
    except ClientLeft:
        return


def lost_events_frame(error: NotResumable, run_id: str, *, was_seen: bool) -> dict[str, Any]:
    """Return the frame for lost events.

    A client that has received some must read the conversation.
    """
    if was_seen:
        return {"type": "resync", "reason": error.code, "response_id": run_id}
    return error_frame(error, response_id=run_id)
