"""Sends runs to the run queue, from which agent nodes execute them."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from agents.events.response_object import response_object
from agents.redis_keys import RUN_QUEUE
from agents.runtime.execution.conversation_queue import enqueue, ensure_same_request
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.execution.outcome import StopCause
from agents.runtime.execution.ports import QueuedRun
from agents.runtime.execution.run_context import new_context
from agents.runtime.execution.target import resolve_target
from agents.schema.run_records import DuplicateRun, QueueEntry
from agents.schema.run_request import RunRequest
from kernel.ids import new_id
from tenants.admission.principal import Principal

CancelRun = Callable[[int, str, StopCause], Awaitable[None]]
"""Cancels a run of a tenant, by its id."""
NO_WORKER = ""


class RunQueue:
    """The entry of the run queue."""

    def __init__(self, dependencies: RunDependencies, *, cancel: CancelRun) -> None:
        """`cancel` is called for a run whose conversation's policy is to interrupt it."""
        self._dependencies = dependencies
        self._cancel = cancel

    @property
    def has_nodes(self) -> bool:
        """Whether there are agent nodes, which execute queued runs."""
        return self._dependencies.count_nodes() > 0

    async def accepts(self, principal: Principal, model: str) -> bool:
        """Return whether background runs of a model or agent go to the queue.

        Without agent nodes only those of agents do that are placed on some nodes. Raises
        AgentsUnavailable.
        """
        if self.has_nodes:
            return True
        agents = await self._dependencies.catalog.of_tenant(principal.tenant_id)
        agent = agents.get(model.partition("@")[0])
        return agent is not None and agent.placement.needs_node

    async def send(
        self,
        principal: Principal,
        request: RunRequest,
        *,
        priority: int = 0,
        deadline: datetime | None = None,
        new_task: str = "",
    ) -> QueuedRun:
        """Insert a run without a worker, and wake the agent nodes.

        `new_task`: the id of a task without a run, which the run is linked with in one statement.

        The log of the run is not written here, so that the node is its only writer. Raises
        ModelNotFound, QueueFull, ConversationBusy, TooManyRuns, IdempotencyMismatch, and NotFound
        for a conversation or response that is not this tenant's.
        """
        dependencies = self._dependencies
        target = await resolve_target(dependencies, principal, request)
        run = new_context(
            request,
            principal,
            target,
            log=dependencies.log.writer.open(new_id("resp"), ttl=0),
            worker=NO_WORKER,
            store=dependencies.store,
        )
        entry = QueueEntry(
            priority=priority,
            deadline=deadline,
            max_queued=dependencies.max_queued_runs,
            new_task=new_task,
        )
        result, _ = await enqueue(run, partial(self._cancel, principal.tenant_id), queue=entry)
        if isinstance(result, DuplicateRun):
            ensure_same_request(request, result)
            return QueuedRun(run_id=result.run_id, response={}, joined=True)
        await dependencies.pubsub.notify(RUN_QUEUE)
        return QueuedRun(
            run_id=run.id,
            response=response_object(run.settings, "queued"),
            revision=target.agent.revision if target.agent else None,
            is_linked=result.is_linked,
        )
