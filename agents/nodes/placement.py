"""Places agents on agent nodes. Pure: every process places the same agents on the same nodes.

Each agent ranks the eligible nodes by rendezvous hashing (Thaler and Ravishankar, "Using
name-based mappings to increase hit rates", 1998), so that a node that leaves moves only the
agents that it had.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from math import log

import msgspec

from agents.schema.routing.placement import Placement

LIVE_STATES = frozenset({"up", "degraded"})
"""The states in which a node takes new runs. A degraded one is taken if no other is left."""


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A node, as placement sees it."""

    name: str
    state: str = "up"
    zone: str = ""
    labels: Mapping[str, str] = {}
    capabilities: frozenset[str] = frozenset()
    weight: int = 1
    slots: int = 1


class AgentPlacement(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes of one agent, the preferred ones first."""

    nodes: tuple[str, ...] = ()
    left_out: Mapping[str, str] = {}
    """The other nodes, each with the reason."""
    problem: str = ""
    """Why the agent cannot be placed, or has fewer nodes than requested; else empty."""


def placement_name(tenant_id: int, slug: str) -> str:
    """Return the name of an agent among those of all tenants, by which it is placed."""
    return f"{tenant_id}/{slug}"


def place(
    agents: Mapping[str, Placement], nodes: Sequence[NodeFacts]
) -> Mapping[str, AgentPlacement]:
    """Return the nodes of every agent, with reasons. The order of the arguments is irrelevant."""
    return {agent: place_agent(agent, wanted, nodes) for agent, wanted in agents.items()}


def place_agent(agent: str, wanted: Placement, nodes: Sequence[NodeFacts]) -> AgentPlacement:
    """Return the nodes of one agent; `agent` is its name in the hash, unique among all tenants."""
    reasons = {node.name: reason_against(node, wanted) for node in nodes}
    able = [node for node in nodes if not reasons[node.name]]
    ranked = rank(agent, able)
    count = len(ranked) if wanted.replicas is None else wanted.replicas
    chosen = ranked[:count]
    surplus = dict.fromkeys((node.name for node in ranked[count:]), "other nodes are preferred")
    refused = {name: reason for name, reason in reasons.items() if reason}
    return AgentPlacement(
        nodes=tuple(node.name for node in chosen),
        left_out=refused | surplus,
        problem=problem_of(wanted, able=len(able), nodes=len(nodes)),
    )


def reason_against(node: NodeFacts, wanted: Placement) -> str:
    """Return why a node cannot execute the runs of an agent; empty if it can."""
    if node.state not in LIVE_STATES:
        return f"is {node.state}"
    if wanted.zone and node.zone != wanted.zone:
        return f"is in zone {node.zone or '(none)'}, not {wanted.zone}"
    for key, value in wanted.labels.items():
        if node.labels.get(key) != value:
            return f"lacks the label {key}={value}"
    lacking = [word for word in wanted.capabilities if word not in node.capabilities]
    return f"lacks the capability {lacking[0]}" if lacking else ""


def problem_of(wanted: Placement, *, able: int, nodes: int) -> str:
    if wanted.replicas == 0:
        return "It is not deployed: its number of replicas is 0."
    if not nodes:
        return "There are no agent nodes. Start one with `manage.py agent_node`."
    if not able:
        return f"None of {nodes} nodes is able to execute it."
    if wanted.replicas is not None and able < wanted.replicas:
        return f"Only {able} of {wanted.replicas} requested nodes are able to execute it."
    return ""


def rank(agent: str, nodes: Iterable[NodeFacts]) -> list[NodeFacts]:
    """Return the nodes by preference: those that are up first, then by weighted hash."""
    return sorted(nodes, key=lambda node: (node.state != "up", -score(agent, node), node.name))


def score(agent: str, node: NodeFacts) -> float:
    """Return the score of a pair: the highest is chosen in proportion to the nodes' weights."""
    digest = blake2b(f"{agent}|{node.name}".encode(), digest_size=8).digest()
    share = (int.from_bytes(digest) + 1) / (2**64 + 1)
    return -node.weight / log(share)
