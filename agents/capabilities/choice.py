"""Chooses the agent of a task, and explains the choice. Pure.

The strategies are those of endpoints (`inference.fleet.strategies`): they compare loads and
weights, and an agent has both.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from agents.runtime.loop.tool_arguments import first_problem
from agents.schema.routing.capabilities import NO_SCHEMAS, CapabilitySchemas
from inference.fleet.endpoint_state import CandidateSet, EndpointState
from inference.fleet.pick_context import PickContext
from inference.fleet.snapshot import Endpoint
from inference.fleet.strategies import STRATEGIES, Strategy

MAX_SCHEMA_CHECKS = 8
"""Maximum number of candidates whose schemas are applied to one input, since each takes time."""
MAX_NEAR = 5

PAUSED = "paused"
LACKS_CAPABILITY = "lacks_capability"
NOT_ALLOWED = "not_allowed"
NO_NODE = "no_node"
INPUT_REFUSED = "input_refused"
NOT_CHOSEN = "not_chosen"
CHOSEN = "chosen"


class AgentCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """An agent of the tenant, with the facts that decide whether it is chosen."""

    slug: str
    capabilities: Mapping[str, CapabilitySchemas] = {}
    is_paused: bool = False
    is_allowed: bool = True
    """Whether the key may use the agent, and the agent has a model."""
    node_problem: str = ""
    """Why no node is able to execute the agent; empty if one is, or if that is not known."""
    zones: frozenset[str] = frozenset()
    """The zones of the nodes that are able to execute it."""
    runs: int = 0
    """Its queued and running background runs."""
    slots: int = 1
    """The runs that its nodes execute at a time."""
    weight: int = 1


class Considered(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate in an explanation. `code` is `chosen`, or why it was left out."""

    agent: str
    code: str
    reason: str


class AgentChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen agent, or None, with the explanation."""

    agent: str | None
    strategy: str
    reason: str
    candidates: tuple[Considered, ...]

    @property
    def input_problem(self) -> str:
        """The first reason for which a schema refuses the input, if no agent was chosen."""
        refused = (each.reason for each in self.candidates if each.code == INPUT_REFUSED)
        return next(refused, "") if self.agent is None else ""


class ChoiceContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy may use besides the candidates."""

    zone: str = ""
    """The zone of the gateway that received the task."""
    affinity_key: bytes = b""
    """Tasks with the same key prefer one agent, with `consistent_hash`."""
    sequence: int = 0
    """Number of the task in this worker."""


def choose_agent(
    candidates: Sequence[AgentCandidate],
    required: Sequence[str],
    task_input: Any = None,
    *,
    strategy: str,
    context: ChoiceContext,
    rng: random.Random,
) -> AgentChoice:
    """Return the agent that has all `required` capabilities and that the strategy prefers."""
    left_out = {each.slug: why for each in candidates if (why := reason_against(each, required))}
    usable = [each for each in candidates if each.slug not in left_out]
    chosen: AgentCandidate | None = None
    checks = 0
    while usable and chosen is None:
        best = TASK_STRATEGIES[strategy](usable, context, rng)
        checks += 1
        problem = input_problem(best, required, task_input, checks=checks)
        if problem:
            left_out[best.slug] = Considered(agent=best.slug, code=INPUT_REFUSED, reason=problem)
            usable.remove(best)
        else:
            chosen = best
    rows = [left_out.get(each.slug) or considered(each, chosen) for each in candidates]
    return AgentChoice(
        agent=chosen.slug if chosen else None,
        strategy=strategy,
        reason=describe(chosen, strategy, usable=len(usable)),
        candidates=tuple(rows),
    )


def reason_against(candidate: AgentCandidate, required: Sequence[str]) -> Considered | None:
    """Return why a candidate cannot be chosen for any input; None if it can."""
    lacking = [word for word in required if word not in candidate.capabilities]
    code, reason = "", ""
    if not candidate.is_allowed:
        code, reason = NOT_ALLOWED, "this key may not use it"
    elif lacking:
        code, reason = LACKS_CAPABILITY, f"lacks {', '.join(lacking)}"
    elif candidate.is_paused:
        code, reason = PAUSED, "is paused"
    elif candidate.node_problem:
        code, reason = NO_NODE, candidate.node_problem
    return Considered(agent=candidate.slug, code=code, reason=reason) if code else None


def input_problem(
    candidate: AgentCandidate, required: Sequence[str], task_input: Any, *, checks: int
) -> str:
    """Return why a schema refuses the input; empty if none does."""
    for word in required:
        schema = candidate.capabilities.get(word, NO_SCHEMAS).input
        if schema is None:
            continue
        if checks > MAX_SCHEMA_CHECKS:
            return "its schema was not applied, because too many others refused the input"
        if problem := first_problem(task_input, schema):
            return f"the input does not match {word}: {problem}"
    return ""


def considered(candidate: AgentCandidate, chosen: AgentCandidate | None) -> Considered:
    load = f"{candidate.runs} runs, {candidate.slots} slots, weight {candidate.weight}"
    code = CHOSEN if candidate is chosen else NOT_CHOSEN
    return Considered(agent=candidate.slug, code=code, reason=load)


def describe(chosen: AgentCandidate | None, strategy: str, *, usable: int) -> str:
    if chosen is None:
        return "No agent is able to execute this task."
    if usable == 1:
        return f"{chosen.slug} is the only agent that is able to execute it."
    return f"{chosen.slug} is preferred to {usable - 1} others by {strategy}."


def near_agents(candidates: Sequence[AgentCandidate], required: Sequence[str]) -> list[str]:
    """Return texts about agents that have some of the capabilities, or similar ones."""
    found = []
    for each in candidates:
        if not each.is_allowed:
            continue
        similar = dict.fromkeys(
            match for word in required for match in get_close_matches(word, each.capabilities, n=1)
        )
        if similar:
            found.append((len(similar), f"{each.slug} ({', '.join(similar)})"))
    found.sort(key=lambda pair: -pair[0])
    return [text for _, text in found[:MAX_NEAR]]


# --- The strategies ---


TaskStrategy = Callable[[list[AgentCandidate], ChoiceContext, random.Random], AgentCandidate]


def by_endpoint_strategy(pick: Strategy) -> TaskStrategy:
    """Apply a strategy of endpoints to agents."""

    def choose(
        usable: list[AgentCandidate], context: ChoiceContext, rng: random.Random
    ) -> AgentCandidate:
        # In one order, because a strategy may prefer the first of equals by its place.
        by_slug = {each.slug: each for each in usable}
        field = CandidateSet([as_state(by_slug[slug]) for slug in sorted(by_slug)])
        facts = PickContext(sequence=context.sequence, affinity_key=context.affinity_key)
        return by_slug[pick(field, facts, rng).endpoint.id]

    return choose


def as_state(candidate: AgentCandidate) -> EndpointState:
    """Return an agent's load in the form that strategies compare."""
    state = EndpointState(
        Endpoint(
            id=candidate.slug,
            address="",
            model="",
            weight=candidate.weight,
            max_concurrency=max(1, candidate.slots),
        )
    )
    state.elsewhere = candidate.runs
    state.recompute_scores()
    return state


def zone_first(
    usable: list[AgentCandidate], context: ChoiceContext, rng: random.Random
) -> AgentCandidate:
    """Choose the least loaded agent of the own zone; of all agents if those are full."""
    near = [each for each in usable if context.zone in each.zones and each.runs < each.slots]
    return by_endpoint_strategy(STRATEGIES["least_requests"])(near or usable, context, rng)


TASK_STRATEGIES: Mapping[str, TaskStrategy] = {
    **{
        name: by_endpoint_strategy(STRATEGIES[name])
        for name in (
            *("least_requests", "weighted_least_requests", "round_robin"),
            *("weighted_round_robin", "random", "two_choices", "consistent_hash"),
        )
    },
    "zone_first": zone_first,
}
"""The strategies by name. Those that need the time to first token are for engines only."""
