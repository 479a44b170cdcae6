"""Submits tasks: chooses the agent, and starts one run for each idempotency key.

The row of the task comes first, then its run, whose `client_id` is the task's id. A crash between
them leaves a task without a run, which no client has seen: the client's next attempt continues
there, and a periodic job deletes what is left.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Protocol

import msgspec

from agents.capabilities.choice import (
    NOT_ALLOWED,
    AgentCandidate,
    AgentChoice,
    ChoiceContext,
    choose_agent,
    near_agents,
)
from agents.capabilities.output_format import output_format
from agents.doors.base.task_ports import MakeRun, RunOfTask, SubmittedTask
from agents.errors import AgentPaused, IdempotencyMismatch, NoCapableAgent
from agents.nodes.placement import LIVE_STATES, NodeFacts, place_agent, placement_name
from agents.runtime.catalog.agents import AgentCatalog, PublishedAgent
from agents.runtime.execution.ports import QueuedRun, RunSender, RunService
from agents.schema.json_types import Json
from agents.schema.routing.placement import Placement
from agents.schema.routing.tasks import KnownTask, NewTask, queued_record
from agents.schema.run_request import RunRequest
from inference.errors import ModelNotFound
from inference.fleet.snapshot import Fleet, FleetReference
from kernel.errors import InvalidParameter, Overloaded, PlatformError
from kernel.storage.cache import LoadingCache
from tenants.admission.principal import Principal

LOADS_TTL_SECONDS = 1.0
NODES_TTL_SECONDS = 2.0
STALE_SECONDS = 60.0
MAX_EXPLAINED = 50
"""Maximum number of candidates in a stored explanation."""


class TaskStore(Protocol):
    """The table of tasks. Every method raises DatabaseUnavailable."""

    async def find(self, principal: Principal, idempotency_key: str) -> KnownTask | None:
        """Return the task of an idempotency key."""

    async def add(
        self, principal: Principal, new: NewTask, *, agent: str, explanation: Json
    ) -> KnownTask | None:
        """Insert a task, or return that of the idempotency key. None if that is being inserted at
        the same moment. Raises InvalidParameter for the callback.
        """

    async def link(self, tenant_id: int, task_id: str, run_id: str) -> bool: ...

    async def discard(self, tenant_id: int, task_id: str) -> None: ...

    async def nodes(self) -> Sequence[NodeFacts]: ...

    async def loads(self, tenant_id: int) -> Mapping[str, int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDependencies:
    """Built once per worker, in `config`."""

    store: TaskStore
    runner: RunService
    run_queue: RunSender
    catalog: AgentCatalog
    fleet: FleetReference
    strategy: str
    zone: str
    rng: Random


class TaskSubmission:
    """Submits tasks of all tenants in this worker."""

    def __init__(self, dependencies: TaskDependencies) -> None:
        self._dependencies = dependencies
        self._numbers = count()
        outages = (Overloaded,)
        self._nodes = LoadingCache(
            self._load_nodes, ttl=NODES_TTL_SECONDS, stale=STALE_SECONDS, outages=outages
        )
        self._loads = LoadingCache(
            self._load_counts, ttl=LOADS_TTL_SECONDS, stale=STALE_SECONDS, outages=outages
        )

    async def submit(self, principal: Principal, task: NewTask, make_run: MakeRun) -> SubmittedTask:
        """See `Tasks.submit`."""
        known = await self._add(principal, task)
        if known.fingerprint != task.fingerprint:
            raise IdempotencyMismatch(param="idempotency_key")
        if known.run_id is not None:
            return SubmittedTask(id=known.id, is_new=False)
        queued = await self._start_run(principal, task, known, make_run)
        record = None
        if queued is not None and not queued.joined and known.explanation is not None:
            record = queued_record(
                task, known, run_id=queued.run_id, revision=queued.revision, now=time.time()
            )
        return SubmittedTask(id=known.id, is_new=True, record=record)

    async def _add(self, principal: Principal, task: NewTask) -> KnownTask:
        """Insert a task with its agent, or return the task of its idempotency key.

        A repeated request gets its task, whatever has become of the agents since.
        """
        store = self._dependencies.store
        try:
            choice = await self._choose(principal, task)
        except PlatformError:
            known = await store.find(principal, task.idempotency_key)
            if known is None:
                raise
            return known
        explanation = explanation_of(choice)
        known = await store.add(principal, task, agent=str(choice.agent), explanation=explanation)
        if known is None:
            known = await store.find(principal, task.idempotency_key)
        if known is None:
            raise Overloaded  # it was refused and deleted since
        return msgspec.structs.replace(known, explanation=explanation) if known.is_new else known

    async def _choose(self, principal: Principal, task: NewTask) -> AgentChoice:
        """Return a choice with an agent. Raises as `submit`."""
        candidates = await self._candidates(principal, task)
        if task.agent:
            candidates = [each for each in candidates if each.slug == task.agent]
            ensure_requested(candidates, task.agent)
        choice = choose_agent(
            candidates,
            task.required_capabilities,
            task.input,
            strategy=self._dependencies.strategy,
            context=ChoiceContext(
                zone=self._dependencies.zone,
                affinity_key=f"{principal.tenant_id}|{task.idempotency_key}".encode(),
                sequence=next(self._numbers),
            ),
            rng=self._dependencies.rng,
        )
        if choice.agent is None:
            raise refusal_of(choice, candidates, task.required_capabilities)
        (await self._loads.get(principal.tenant_id))[choice.agent] += 1
        return choice

    async def _candidates(self, principal: Principal, task: NewTask) -> list[AgentCandidate]:
        tenant_id = principal.tenant_id
        agents = await self._dependencies.catalog.of_tenant(tenant_id)
        loads = await self._loads.get(tenant_id)
        nodes = await self._nodes.get("")
        fleet = self._dependencies.fleet.current
        return [
            candidate_of(
                agent,
                is_allowed=principal.may_use(agent.slug) and has_chat_route(agent, fleet),
                runs=loads[agent.slug],
                placed=facts_of_nodes(
                    placement_name(tenant_id, agent.slug), agent.placement, nodes
                ),
            )
            for agent in agents.values()
        ]

    async def _start_run(
        self, principal: Principal, task: NewTask, known: KnownTask, make_run: MakeRun
    ) -> QueuedRun | None:
        """Start or queue the run of a task, once, and link it. None if it was not queued."""
        store, tenant_id = self._dependencies.store, principal.tenant_id
        agents = await self._dependencies.catalog.of_tenant(tenant_id)
        facts = RunOfTask(
            task_id=known.id,
            agent=known.agent,
            output_format=output_format(agents.get(known.agent), task.required_capabilities),
        )
        try:
            run_id, queued = await self._execute(
                principal, task, make_run(facts), new_task=known.id if known.is_new else ""
            )
        except Overloaded:
            # Whether the run was inserted is not known: the row of the task is kept to find it.
            raise
        except PlatformError:
            await store.discard(tenant_id, known.id)
            raise
        is_linked = queued is not None and queued.is_linked
        if not is_linked and not await store.link(tenant_id, known.id, run_id):
            await self._dependencies.runner.cancel(tenant_id, run_id)
            raise Overloaded("The task was accepted too late. Send the request again.")
        return queued

    async def _execute(
        self, principal: Principal, task: NewTask, request: RunRequest, *, new_task: str
    ) -> tuple[str, QueuedRun | None]:
        """Queue or start the run, and return its id once it is in the table.

        Without agent nodes this worker starts it at once, so that its priority and deadline do not
        matter.
        """
        queue = self._dependencies.run_queue
        if queue.has_nodes:
            queued = await queue.send(
                principal,
                request,
                priority=task.priority,
                deadline=task.deadline,
                new_task=new_task,
            )
            return queued.run_id, queued
        run = await self._dependencies.runner.start(principal, request)
        return (await asyncio.shield(run.started)).run_id, None

    async def _load_nodes(self, _: str) -> Sequence[NodeFacts]:
        return await self._dependencies.store.nodes()

    async def _load_counts(self, tenant_id: int) -> Counter[str]:
        return Counter(await self._dependencies.store.loads(tenant_id))


class PlacedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the nodes of an agent mean for its choice."""

    problem: str = ""
    zones: frozenset[str] = frozenset()
    slots: int = 1


def facts_of_nodes(name: str, wanted: Placement, nodes: Sequence[NodeFacts]) -> PlacedFacts:
    """Return whether and where an agent can be executed.

    Without any node the gateways execute what has no placement.
    """
    placed = place_agent(name, wanted, nodes)
    by_name = {node.name: node for node in nodes}
    own = [by_name[each] for each in placed.nodes]
    needs_node = wanted.needs_node or any(node.state in LIVE_STATES for node in nodes)
    return PlacedFacts(
        problem=placed.problem if needs_node and not own else "",
        zones=frozenset(node.zone for node in own if node.zone),
        slots=sum(node.slots for node in own) or 1,
    )


def candidate_of(
    agent: PublishedAgent, *, is_allowed: bool, runs: int, placed: PlacedFacts
) -> AgentCandidate:
    return AgentCandidate(
        slug=agent.slug,
        capabilities=agent.capabilities,
        is_paused=agent.is_paused,
        is_allowed=is_allowed,
        node_problem=placed.problem,
        zones=placed.zones,
        runs=runs,
        slots=placed.slots,
        weight=agent.placement.weight,
    )


def has_chat_route(agent: PublishedAgent, fleet: Fleet) -> bool:
    route = fleet.routes.get(agent.route)
    return route is not None and route.purpose == "chat"


def ensure_requested(candidates: Sequence[AgentCandidate], agent: str) -> None:
    """Raises ModelNotFound and AgentPaused for an agent that the client requested."""
    if not candidates or not candidates[0].is_allowed:
        raise ModelNotFound(
            f"There is no agent {agent[:100]!r}, or this key may not use it.", param="agent"
        )
    if candidates[0].is_paused:
        raise AgentPaused(param="agent")


def refusal_of(
    choice: AgentChoice, candidates: Sequence[AgentCandidate], required: Sequence[str]
) -> PlatformError:
    """Return the error of a choice without an agent, with what would help the client."""
    if choice.input_problem:
        return InvalidParameter(f"{choice.input_problem}", param="input")
    near = near_agents(candidates, required)
    able = [
        f"{each.agent}: {each.reason}"
        for each in choice.candidates
        if each.code not in {NOT_ALLOWED, "lacks_capability"}
    ]
    parts = [f"No agent that this key may use can do {', '.join(required) or 'this task'}."]
    if able:
        parts.append(f"Agents with these capabilities cannot do it now ({'; '.join(able[:5])}).")
    elif near:
        parts.append(f"Near ones are {', '.join(near)}.")
    parts.append("Require fewer capabilities, or give an agent the missing ones.")
    return NoCapableAgent(" ".join(parts), param="required_capabilities")


def explanation_of(choice: AgentChoice) -> Json:
    """Return a choice as the table stores it: the chosen agent first, then the others."""
    ordered = sorted(choice.candidates, key=lambda each: each.agent != choice.agent)
    return {
        "strategy": choice.strategy,
        "reason": choice.reason,
        "candidates": [msgspec.structs.asdict(each) for each in ordered[:MAX_EXPLAINED]],
    }
