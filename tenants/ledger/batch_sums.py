"""The sums that a batch of new rows adds to counters and to hours. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from tenants.admission.usage.records import UsageRecord

SUMS = (
    *("requests", "failed", "prompt_tokens", "completion_tokens"),
    *("cached_tokens", "cost_micro"),
)
"""The summed columns of an hour."""


class CounterKey(NamedTuple):
    """A counter in a window. Rows are locked in the order of these keys."""

    tenant_id: int
    counter: str
    window: str


class HourKey(NamedTuple):
    """The key of a row of hours. Rows are locked in the order of these keys."""

    tenant_id: int
    hour: datetime
    api_key_id: int
    member_id: int
    agent: str
    route: str
    door: str


class NewRow(NamedTuple):
    """A row that a batch added to the ledger."""

    record: UsageRecord
    hour: datetime
    """Hour (UTC) in which the request began."""


def counters_of(records: Iterable[UsageRecord]) -> list[CounterKey]:
    """Return the counters that the records charge, sorted."""
    return sorted(
        {
            CounterKey(record.tenant_id, charge.counter, charge.window)
            for record in records
            for charge in record.charges
        }
    )


def sum_charges(records: Iterable[UsageRecord]) -> dict[CounterKey, int]:
    """Return the amounts of the records by counter, sorted, without zeros."""
    sums: defaultdict[CounterKey, int] = defaultdict(int)
    for record in records:
        for charge in record.charges:
            sums[CounterKey(record.tenant_id, charge.counter, charge.window)] += charge.amount
    return {key: sums[key] for key in sorted(sums) if sums[key]}


def sum_hours(rows: Iterable[NewRow]) -> dict[HourKey, dict[str, int]]:
    """Return the amounts of the rows by hour, sorted. Corrections do not count as requests."""
    sums: defaultdict[HourKey, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    for row in rows:
        hour = sums[hour_key(row)]
        for name, amount in amounts(row.record).items():
            hour[name] += amount
    return {key: sums[key] for key in sorted(sums)}


def hour_key(row: NewRow) -> HourKey:
    record = row.record
    return HourKey(
        tenant_id=record.tenant_id,
        hour=row.hour,
        api_key_id=record.api_key_id or 0,
        member_id=record.member_id or 0,
        agent=record.agent,
        route=record.route,
        door=record.door,
    )


def amounts(record: UsageRecord) -> dict[str, int]:
    is_request = record.kind != "correction"
    return {
        "requests": int(is_request),
        "failed": int(is_request and record.status == "failed"),
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "cached_tokens": record.cached_tokens,
        "cost_micro": record.cost_micro,
    }


def as_json(rows: Sequence[Mapping[str, Any]] | Sequence[UsageRecord]) -> str:
    """Encode rows as one parameter of a statement.

    PostgreSQL parses JSON faster than Python composes an INSERT of many rows.
    """
    return msgspec.json.encode(rows).decode()
