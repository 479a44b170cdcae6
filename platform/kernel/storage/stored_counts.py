"""Counters of Celery's processes, which Prometheus cannot scrape.

They are stored in PostgreSQL, and the console exports them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError
from django.db.models import F
from prometheus_client import REGISTRY, Counter
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from kernel import metrics
from kernel.models import StoredCount


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A counter with one label, and the values of it that start at 0."""

    counter: Counter
    label: str
    values: tuple[str, ...]
    """The values that start at 0, because a new series at 1 shows no increase to alerts."""


JOBS = (
    *("reconcile", "reset_due_quotas", "send_quota_alerts"),
    *("erase_what_expired", "judge_rollouts"),
)
STORED = (
    Stored(counter=metrics.ledger_drift, label="kind", values=("counter", "copy", "hold", "hour")),
    Stored(counter=metrics.tenants_left, label="job", values=JOBS),
    Stored(counter=metrics.tenants_failed, label="job", values=JOBS),
)


def add_count(counter: Counter, label: str, number: int) -> None:
    """Increment a stored counter, in the running transaction if there is one."""
    if not number:
        return
    rows = StoredCount.objects.filter(metric=name_of(counter), label=label)
    if not rows.update(value=F("value") + number):
        new = StoredCount(metric=name_of(counter), label=label)
        StoredCount.objects.bulk_create([new], ignore_conflicts=True)
        rows.update(value=F("value") + number)


def name_of(counter: Counter) -> str:
    """Return the name in the table, without the suffix of Prometheus."""
    (described,) = counter.describe()
    return str(described.name)


class StoredCountsCollector(Collector):
    """A collector that reads the table when the console is scraped."""

    def describe(self) -> list[Metric]:
        """Describe nothing, to avoid a query when the console starts."""
        return [described for each in STORED for described in each.counter.describe()]

    def collect(self) -> Iterator[Metric]:
        counts = read_counts()
        for each in STORED:
            for family in each.counter.describe():
                values = {label: counts.get((family.name, label), 0) for label in each.values}
                values |= {label: n for (name, label), n in counts.items() if name == family.name}
                for label, value in values.items():
                    family.add_sample(f"{family.name}_total", {each.label: label}, value)
                yield family


def read_counts() -> dict[tuple[str, str], int]:
    """Return the series; none while PostgreSQL is unavailable, so that other metrics are served."""
    try:
        rows = StoredCount.objects.order_by("metric", "label")
        return {(row.metric, row.label): row.value for row in rows}
    except (DatabaseError, InterfaceError):
        return {}


def register() -> None:
    """Register the collector. Called once, when the console starts."""
    REGISTRY.register(StoredCountsCollector())
