"""The console exports how many nodes there are, and how long the run queue is."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from agents.models import Run
from agents.nodes import operations, registration
from agents.nodes.health import NodeLoad
from agents.nodes.metrics_exporter import NodesCollector
from tenants.scoping import every_tenant
from tests.fixtures.console.people import acme
from tests.fixtures.nodes import HEALTHY, beat, register, register_gateway

__all__ = ["acme"]


def lines():
    registry = CollectorRegistry()
    registry.register(NodesCollector())
    return set(generate_latest(registry).decode().splitlines())


@pytest.mark.django_db
def test_without_nodes_every_series_is_zero():
    assert {
        'tenantry_nodes{kind="agent",state="up"} 0.0',
        'tenantry_nodes{kind="gateway",state="down"} 0.0',
        'tenantry_node_slots{kind="agent"} 0.0',
        "tenantry_queued_runs 0.0",
    } <= lines()


@pytest.mark.django_db
def test_nodes_are_counted_by_kind_and_state(acme):
    beat(register("agent-1"), NodeLoad(runs=3, engines=1, engines_ready=1))
    draining = register("agent-2")
    operations.request_drain(node=draining)
    beat(draining, NodeLoad(runs=1, engines=1, engines_ready=1))
    beat(register_gateway(), HEALTHY)
    registration.deregister_node(register("stopped").worker)
    with every_tenant():
        Run.objects.create(tenant=acme, public_id="resp_1", door="responses", model="m")
        Run.objects.create(tenant=acme, public_id="resp_2", door="responses", model="m", worker="w")
    assert {
        'tenantry_nodes{kind="agent",state="up"} 1.0',
        'tenantry_nodes{kind="agent",state="draining"} 1.0',
        'tenantry_nodes{kind="agent",state="down"} 0.0',
        'tenantry_nodes{kind="gateway",state="up"} 1.0',
        'tenantry_node_slots{kind="agent"} 4.0',
        'tenantry_node_runs{kind="agent"} 4.0',
        "tenantry_queued_runs 1.0",
    } <= lines()
