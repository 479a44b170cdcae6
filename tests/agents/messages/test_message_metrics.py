"""The console exports how many deliveries are under way, and how many are dead letters."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from agents.messages.metrics_exporter import DeliveriesCollector
from agents.models import AgentMessage, Delivery
from tenants.scoping import tenant_scope
from tests.fixtures.console.people import acme, rival

__all__ = ["acme", "rival"]


def lines():
    registry = CollectorRegistry()
    registry.register(DeliveriesCollector())
    return set(generate_latest(registry).decode().splitlines())


def deliver(tenant, *states):
    with tenant_scope(tenant.pk):
        insert(tenant, *states)


def insert(tenant, *states):
    message = AgentMessage(tenant=tenant, public_id=f"msg_{tenant.pk}", content="x")
    message.save()
    Delivery.objects.bulk_create(
        Delivery(
            tenant=tenant, message=message, public_id=f"{message}{n}", agent=f"a{n}", state=each
        )
        for n, each in enumerate(states)
    )


@pytest.mark.django_db
def test_deliveries_of_all_tenants_are_counted_by_state(acme, rival):
    deliver(acme, "pending", "dead", "completed")
    deliver(rival, "dead", "completed")

    assert {
        'tenantry_deliveries{state="pending"} 1.0',
        'tenantry_deliveries{state="delivered"} 0.0',
        'tenantry_deliveries{state="dead"} 2.0',
    } == {line for line in lines() if not line.startswith("#")}
