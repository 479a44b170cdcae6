"""What the console and gateways read about nodes."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import CharField, Count, OuterRef, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from agents.models import Agent, AgentNode, Run
from agents.models.choices import RunState
from agents.models.node import NodeKind, NodeState
from agents.nodes.placement import NodeFacts, place_agent, placement_name
from agents.schema.routing.placement import read_placement
from kernel.errors import InvalidParameter
from tenants.scoping import every_tenant

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCount:
    """The nodes of one kind in one state."""

    kind: str
    state: str
    nodes: int
    slots: int
    runs: int
    sockets: int


def count_nodes() -> list[NodeCount]:
    """Count nodes by kind and state in one query. Those that ended in order do not count."""
    rows = (
        AgentNode.objects.present()
        .order_by()
        .values("kind", "state")
        .annotate(
            nodes=Count("pk"),
            total_slots=Coalesce(Sum("slots"), 0),
            total_runs=Coalesce(Sum("runs"), 0),
            total_sockets=Coalesce(Sum("sockets"), 0),
        )
    )
    return [
        NodeCount(
            kind=row["kind"],
            state=row["state"],
            nodes=row["nodes"],
            slots=row["total_slots"],
            runs=row["total_runs"],
            sockets=row["total_sockets"],
        )
        for row in rows
    ]


def count_queued_runs() -> int:
    """Return the number of runs of all tenants that wait for an agent node."""
    with every_tenant():
        return Run.objects.filter(state=RunState.QUEUED, worker="").count()


def name_of_worker(field: str = "worker") -> Coalesce:
    """Return an annotation: the name of the node of the worker in `field`, or empty."""
    nodes = AgentNode.objects.filter(worker=OuterRef(field)).values("name")[:1]
    return Coalesce(Subquery(nodes), Value(""), output_field=CharField())


def names_of_workers(workers: Iterable[str]) -> dict[str, str]:
    """Return the names of the nodes of these workers, as far as they are known."""
    rows = AgentNode.objects.filter(worker__in=set(workers))
    return dict(rows.values_list("worker", "name"))


def load_node_facts() -> list[NodeFacts]:
    """Return the agent nodes that are not down, as placement sees them."""
    rows = AgentNode.objects.filter(kind=NodeKind.AGENT).exclude(state=NodeState.DOWN)
    return [
        NodeFacts(
            name=row.name,
            state=row.state,
            zone=row.zone,
            labels=row.labels,
            capabilities=frozenset(row.capabilities),
            weight=row.weight,
            slots=row.slots or 1,
        )
        for row in rows
    ]


def agents_placed_elsewhere(node: str) -> Sequence[str]:
    """Return the agents that a node may not execute, as `<tenant id>/<slug>`."""
    with every_tenant():  # a node executes the runs of all tenants
        placed = Agent.objects.exclude(placement={}).values_list("tenant_id", "slug", "placement")
        agents = {placement_name(tenant, slug): value for tenant, slug, value in placed}
    nodes = load_node_facts() if agents else []
    return [each for each in agents if not is_placed(each, agents[each], node=node, nodes=nodes)]


def is_placed(agent: str, placement: object, *, node: str, nodes: Sequence[NodeFacts]) -> bool:
    """Return whether an agent is placed on a node."""
    try:
        return node in place_agent(agent, read_placement(placement), nodes).nodes
    except InvalidParameter as error:
        # A row that was changed past the console must not end the nodes.
        log.warning("placement: invalid, no node executes the agent (agent=%s): %s", agent, error)
        return False


def has_agent_nodes() -> bool:
    """Return whether an agent node is up, or will be soon."""
    return AgentNode.objects.filter(kind=NodeKind.AGENT).exclude(state=NodeState.DOWN).exists()
