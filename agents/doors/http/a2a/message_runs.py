"""The runs of messages: started for a new task, or continued by a decision about a call."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from a2a.types import Message, SendMessageRequest
from a2a.utils.errors import (
    InvalidParamsError,
    TaskNotFoundError,
    UnsupportedOperationError,
)

from agents.doors.base.decisions import decide
from agents.doors.http.a2a.parts import find_data, read_message
from agents.doors.http.a2a.ports import A2aCaller, TaskCall, TaskServices
from agents.doors.http.a2a.push_targets import target_of
from agents.schema.a2a.tasks import DOOR, MESSAGE_ID, TASK_ID, A2aTask, PushTarget
from agents.schema.items import Item
from agents.schema.run_request import RunRequest
from kernel.errors import NotFound, PlatformError

CONTEXT_ID = re.compile(r"conv_[0-9a-f]{30}")
MAX_REASON_CHARS = 500
PAUSE_POLLS = 40
POLL_SECONDS = 0.05
NO_TASK = "There is no such task of this agent here."


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedTask:
    """A task that was started or continued."""

    id: str
    context_id: str
    input: tuple[Item, ...] = ()
    after: int = -1
    """The number of the last event that the client knows."""
    known_pauses: int = 0
    """The number of interruptions after that event which the client knows."""
    is_interrupted: bool = False
    """Whether the task still waits for a decision about another call."""


class MessageRuns:
    """Starts and reads the runs of one caller."""

    def __init__(self, call: TaskCall, services: TaskServices, caller: A2aCaller) -> None:
        self._call = call
        self._caller = caller
        self._gateway = services
        self._slug = caller.agent.slug

    async def load(self, task_id: str) -> A2aTask:
        """Return a task. Raises TaskNotFoundError."""
        if not TASK_ID.fullmatch(task_id):
            raise TaskNotFoundError(NO_TASK)
        try:
            return await self._gateway.a2a.load(
                self._caller.tenant_id, agent=self._slug, task=task_id
            )
        except NotFound as error:
            raise TaskNotFoundError(NO_TASK) from error

    async def wait_until_paused(self, task_id: str) -> None:
        """Return when a task can be continued by another worker, or after two seconds."""
        for _ in range(PAUSE_POLLS):
            if (await self.load(task_id)).run.state != "in_progress":
                return
            await asyncio.sleep(POLL_SECONDS)

    async def start(self, params: SendMessageRequest) -> StartedTask:
        """Start a task for a message, or continue the one that the message names."""
        if params.message.task_id:
            return await self._continue(params.message)
        items = read_message(params.message)
        target = None
        if params.configuration.HasField("task_push_notification_config"):
            target = target_of(params.configuration.task_push_notification_config)
            self._gateway.a2a.ensure_push_target(target)
        context_id, is_new = await self._context(params.message.context_id)
        request = RunRequest(
            door=DOOR,
            model=self._slug,
            input=items,
            conversation=context_id,
            metadata={MESSAGE_ID: params.message.message_id},
            truncation="auto",
            busy="enqueue",
            background=params.configuration.return_immediately,
        )
        try:
            run_id = await self._start_run(request)
        except PlatformError:
            if is_new:
                # The client does not know the new context, so it is deleted if it is empty.
                await self._gateway.conversations.discard_empty(
                    self._caller.tenant_id, conversation=context_id
                )
            raise
        if target is not None:
            await self.add_push_target(run_id, target)
        return StartedTask(id=run_id, context_id=context_id, input=items)

    async def _start_run(self, request: RunRequest) -> str:
        """Start a run, which continues without the client. Returns its id."""
        call, gateway, principal = self._call, self._gateway, self._caller.principal
        if request.background and await gateway.run_queue.accepts(principal, self._slug):
            return (await gateway.run_queue.send(principal, request)).run_id
        run = await gateway.runner.start(principal, request)
        call.route = run.route
        started = await asyncio.shield(run.started)
        call.limit_headers = list(started.headers)
        return started.run_id

    async def _context(self, context_id: str) -> tuple[str, bool]:
        """Return the conversation of a context, and whether it is new.

        Raises InvalidParamsError for an id that the agent has not given.
        """
        conversations = self._gateway.conversations
        if not context_id:
            facts = await conversations.create(
                self._caller.tenant_id, metadata={}, items=(), agent=self._slug
            )
            return facts.id, True
        try:
            if not CONTEXT_ID.fullmatch(context_id):
                raise NotFound
            facts = await conversations.read(self._caller.tenant_id, conversation=context_id)
            if facts.agent != self._slug:
                raise NotFound
        except NotFound as error:
            raise InvalidParamsError(
                "There is no such context of this agent. Leave `contextId` out for a new one."
            ) from error
        return facts.id, False

    async def _continue(self, message: Message) -> StartedTask:
        """Decide about a call of a task that waits for that.

        Other tasks accept no messages: a context goes on with a new task. Raises TaskNotFoundError,
        InvalidParamsError, UnsupportedOperationError, and ApprovalResolved.
        """
        task = await self.load(message.task_id)
        if message.context_id and message.context_id != task.context_id:
            raise InvalidParamsError("The task belongs to another context. Leave `contextId` out.")
        if task.run.state != "requires_approval":
            raise UnsupportedOperationError(
                "The task accepts no more messages. Send it with the `contextId` alone, which "
                "starts another task of this context."
            )
        answer = find_data(message, "approve")
        if answer is None or not isinstance(answer["approve"], bool):
            raise InvalidParamsError(
                'The task waits for an approval. Send a data part: {"approve": true}, or false '
                'with a "reason".'
            )
        waiting = list(task.pending)
        chosen = answer.get("approval_request_id") or (waiting[0] if len(waiting) == 1 else "")
        if chosen not in waiting:
            raise InvalidParamsError(
                f"Name one of these as `approval_request_id`: {', '.join(waiting)}."
            )
        await decide(
            self._gateway.runs,
            self._caller.principal,
            run_id=task.id,
            approval_id=chosen,
            approve=answer["approve"],
            reason=str(answer.get("reason") or "")[:MAX_REASON_CHARS],
        )
        return StartedTask(
            id=task.id,
            context_id=task.context_id,
            after=task.last_event,
            known_pauses=1,
            is_interrupted=len(waiting) > 1,
        )

    async def add_push_target(self, task_id: str, target: PushTarget) -> None:
        """Register a webhook for a task. Raises TaskNotFoundError and TargetRefused."""
        await self.load(task_id)
        await self._gateway.a2a.add_push_target(
            self._caller.tenant_id, agent=self._slug, task=task_id, target=target
        )

    async def push_targets(self, task_id: str) -> Sequence[PushTarget]:
        """Return the webhooks of a task. Raises TaskNotFoundError."""
        await self.load(task_id)
        return await self._gateway.a2a.push_targets(
            self._caller.tenant_id, agent=self._slug, task=task_id
        )

    async def remove_push_target(self, task_id: str, target_id: str) -> None:
        """Remove a webhook of a task. Raises TaskNotFoundError."""
        await self.load(task_id)
        await self._gateway.a2a.remove_push_target(
            self._caller.tenant_id, agent=self._slug, task=task_id, target_id=target_id
        )
