"""Prometheus metrics of nodes and of the run queue, read when the console is scraped."""

from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from agents.models.node import NodeKind, NodeState
from agents.nodes.selectors import NodeCount, count_nodes, count_queued_runs


class NodesCollector(Collector):
    """Exports the number of nodes, their slots and runs, and the length of the run queue.

    Kinds and states without a node are exported as 0, so that alerts can compare them. While
    PostgreSQL is unavailable there are no series.
    """

    def describe(self) -> list[GaugeMetricFamily]:
        """Query no database: it may not be available when the console starts."""
        return list(families())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        nodes, slots, runs, queued = families()
        try:
            counts, waiting = count_nodes(), count_queued_runs()
        except (DatabaseError, InterfaceError):
            return
        for kind in NodeKind.values:
            own = [each for each in counts if each.kind == kind]
            add_states(nodes, kind, own)
            slots.add_metric([kind], sum(usable_slots(each) for each in own))
            runs.add_metric([kind], sum(each.runs for each in own))
        queued.add_metric([], waiting)
        yield from (nodes, slots, runs, queued)


def add_states(nodes: GaugeMetricFamily, kind: str, counts: list[NodeCount]) -> None:
    found = {each.state: each.nodes for each in counts}
    for state in NodeState.values:
        nodes.add_metric([kind, state], found.get(state, 0))


def usable_slots(count: NodeCount) -> int:
    """Return the slots of nodes that take new runs."""
    return count.slots if count.state in {NodeState.UP, NodeState.DEGRADED} else 0


def families() -> tuple[GaugeMetricFamily, ...]:
    return (
        GaugeMetricFamily("tenantry_nodes", "Nodes by kind and state.", labels=["kind", "state"]),
        GaugeMetricFamily(
            "tenantry_node_slots", "Slots of nodes that take new runs.", labels=["kind"]
        ),
        GaugeMetricFamily("tenantry_node_runs", "Runs that nodes execute.", labels=["kind"]),
        GaugeMetricFamily("tenantry_queued_runs", "Runs that wait for an agent node."),
    )


def register() -> None:
    """Register the collector; called once, when the console starts."""
    REGISTRY.register(NodesCollector())
