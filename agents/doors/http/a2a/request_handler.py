"""Answers the operations of A2A with runs: a task is a run, a context is a conversation.

There is no state between requests, so that each worker of the gateway can answer each of them.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar, cast

from a2a.server.context import ServerCallContext
from a2a.server.events import Event as ProtocolEvent
from a2a.server.request_handlers.request_handler import RequestHandler, validate_request_params
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    ListTasksResponse,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
    TaskStatus,
)
from a2a.utils.errors import (
    InternalError,
    InvalidParamsError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a.utils.task import apply_history_length, validate_history_length

from agents.doors.http.a2a.message_runs import POLL_SECONDS, MessageRuns, StartedTask
from agents.doors.http.a2a.parts import history_of
from agents.doors.http.a2a.ports import A2aCaller, TaskCall, TaskServices
from agents.doors.http.a2a.push_targets import config_of, target_of
from agents.doors.http.a2a.task_listing import page_object, query_of
from agents.doors.http.a2a.task_objects import task_object
from agents.doors.http.a2a.task_updates import TaskUpdates
from agents.schema.a2a.tasks import A2aTask
from kernel.errors import PlatformError, Rejected

CANCEL_POLLS = 20

F = TypeVar("F", bound=Callable[..., Any])


def checked(method: F) -> F:
    """Check the required members of the request, as the SDK does. It loses the method's type."""
    return cast("F", validate_request_params(method))


class RunRequestHandler(RequestHandler):
    """Implements the SDK's `RequestHandler` for one request."""

    def __init__(self, call: TaskCall, services: TaskServices, caller: A2aCaller) -> None:
        self._call = call
        self._caller = caller
        self._gateway = services
        self._runs = MessageRuns(call, services, caller)
        self.refusal: PlatformError | None = None
        """The error of the platform that the SDK has no error for. The door renders it."""

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Translate errors of the platform into those of A2A."""
        try:
            yield
        except Rejected as error:
            raise InvalidParamsError(error.message) from error
        except PlatformError as error:
            self.refusal = error
            raise InternalError(error.message) from error

    @checked
    async def on_message_send(self, params: SendMessageRequest, context: ServerCallContext) -> Task:
        """Return the task at its end, at an interruption, or at once if the client wants that."""
        validate_history_length(params.configuration)
        with self._refusals():
            started = await self._runs.start(params)
            if not params.configuration.return_immediately and not started.is_interrupted:
                await self._wait(started)
            task = await self._runs.load(started.id)
        return apply_history_length(task_object(task), params.configuration)

    @checked
    async def on_message_send_stream(
        self, params: SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[ProtocolEvent]:
        """Yield the task, then its updates up to its end or an interruption."""
        validate_history_length(params.configuration)
        with self._refusals():
            started = await self._runs.start(params)
            yield apply_history_length(task_at_start(started, params), params.configuration)
            async with aclosing(self._updates(started, stop_at_pause=True)) as updates:
                async for update in updates:
                    yield update

    @checked
    async def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[ProtocolEvent]:
        """Yield the task, then all its updates from the first one, up to its end."""
        with self._refusals():
            task = await self._runs.load(params.id)
            if task.run.is_over:
                raise UnsupportedOperationError("The task has ended. Read it with GetTask.")
            shown = task_object(task)
            # The updates that follow contain the artifacts from their beginnings.
            shown.ClearField("artifacts")
            yield shown
            started = StartedTask(id=task.id, context_id=task.context_id)
            async with aclosing(self._updates(started, stop_at_pause=False)) as updates:
                async for update in updates:
                    yield update

    async def _wait(self, started: StartedTask) -> None:
        async with aclosing(self._updates(started, stop_at_pause=True)) as updates:
            async for _ in updates:
                pass

    async def _updates(
        self, started: StartedTask, *, stop_at_pause: bool
    ) -> AsyncGenerator[ProtocolEvent]:
        """Yield the updates of a task after the events that the client knows."""
        call, known_pauses = self._call, started.known_pauses
        updates = TaskUpdates(task_id=started.id, context_id=started.context_id)
        follow = self._gateway.runner.follow(
            self._caller.tenant_id, started.id, after=started.after
        )
        call.upstream_seconds = None
        async with aclosing(follow):
            async for events in follow:
                for event in events:
                    if event.is_pause and known_pauses:
                        known_pauses -= 1
                        continue
                    if event.is_pause:
                        # The event is published before the row is paused.
                        await self._runs.wait_until_paused(started.id)
                    for update in updates.of(event):
                        yield update
                    if event.is_pause and stop_at_pause:
                        call.upstream_seconds = call.elapsed()
                        return
        call.upstream_seconds = call.elapsed()

    @checked
    async def on_get_task(self, params: GetTaskRequest, context: ServerCallContext) -> Task:
        validate_history_length(params)
        with self._refusals():
            return apply_history_length(task_object(await self._runs.load(params.id)), params)

    @checked
    async def on_list_tasks(
        self, params: ListTasksRequest, context: ServerCallContext
    ) -> ListTasksResponse:
        """List the tasks of this agent, the last changed first."""
        query = query_of(params, agent=self._caller.agent.slug)
        with self._refusals():
            page = await self._gateway.a2a.list(self._caller.tenant_id, query)
        return page_object(page, params, page_size=query.limit)

    @checked
    async def on_cancel_task(self, params: CancelTaskRequest, context: ServerCallContext) -> Task:
        """Cancel a task on any worker, and return it."""
        with self._refusals():
            task = await self._runs.load(params.id)
            if task.run.is_over:
                raise TaskNotCancelableError("The task has ended already.")
            await self._gateway.runner.cancel(self._caller.tenant_id, task.id)
            return task_object(await self._cancelled(task))

    async def _cancelled(self, task: A2aTask) -> A2aTask:
        """Return the task when its worker has ended it; after a second as it is then."""
        for _ in range(CANCEL_POLLS):
            task = await self._runs.load(task.id)
            if task.run.is_over:
                break
            await asyncio.sleep(POLL_SECONDS)
        return task

    @checked
    async def on_create_task_push_notification_config(
        self, params: TaskPushNotificationConfig, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        target = target_of(params)
        with self._refusals():
            await self._runs.add_push_target(params.task_id, target)
        return config_of(target, task_id=params.task_id)

    @checked
    async def on_get_task_push_notification_config(
        self, params: GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        with self._refusals():
            targets = await self._runs.push_targets(params.task_id)
        for target in targets:
            if target.id == params.id:
                return config_of(target, task_id=params.task_id)
        raise TaskNotFoundError("The task has no such push notification config.")

    @checked
    async def on_list_task_push_notification_configs(
        self, params: ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> ListTaskPushNotificationConfigsResponse:
        with self._refusals():
            targets = await self._runs.push_targets(params.task_id)
        configs = [config_of(target, task_id=params.task_id) for target in targets]
        return ListTaskPushNotificationConfigsResponse(configs=configs)

    @checked
    async def on_delete_task_push_notification_config(
        self, params: DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        with self._refusals():
            await self._runs.remove_push_target(params.task_id, params.id)

    async def on_get_extended_agent_card(
        self, params: GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> AgentCard:
        raise UnsupportedOperationError("The agent card is the same for all clients.")


def task_at_start(started: StartedTask, params: SendMessageRequest) -> Task:
    """Return the task before its first update, with the message of the client."""
    ids = {"task_id": started.id, "context_id": started.context_id}
    return Task(
        id=started.id,
        context_id=started.context_id,
        status=TaskStatus(state=TaskState.TASK_STATE_SUBMITTED),
        history=history_of(started.input, message_id=params.message.message_id, **ids),
    )
