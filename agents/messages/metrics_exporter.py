"""Prometheus metrics of deliveries, read when the console is scraped."""

from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError
from django.db.models import Count
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from agents.models import Delivery
from agents.models.message import DeliveryState
from tenants.scoping import every_tenant

OPEN_STATES = (DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.DEAD)
"""All but completed deliveries, of which there are many, and which nobody has to look at."""


class DeliveriesCollector(Collector):
    """Exports the number of deliveries by state. While PostgreSQL is unavailable there is none."""

    def describe(self) -> list[GaugeMetricFamily]:
        """Query no database: it may not be available when the console starts."""
        return [family()]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        deliveries = family()
        try:
            counts = count_deliveries()
        except (DatabaseError, InterfaceError):
            return
        for state in OPEN_STATES:
            deliveries.add_metric([state.value], counts.get(state.value, 0))
        yield deliveries


def count_deliveries() -> dict[str, int]:
    """Count the deliveries of all tenants that are not completed, by state."""
    with every_tenant():
        rows = Delivery.objects.filter(state__in=OPEN_STATES).order_by()
        return dict(rows.values_list("state").annotate(Count("pk")))


def family() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "tenantry_deliveries", "Deliveries of messages that are not completed.", labels=["state"]
    )


def register() -> None:
    """Register the collector; called once, when the console starts."""
    REGISTRY.register(DeliveriesCollector())
