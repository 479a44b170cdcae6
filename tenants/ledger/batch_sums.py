"""What a batch of new rows adds to counters and to hours: sums, and nothing else."""

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
"""The columns of an hour that are added up."""


class CounterKey(NamedTuple):
    """Which counter in which window. Its order is the order in which rows are locked."""

    tenant_id: int
    counter: str
    window: str


class HourKey(NamedTuple):
    """What makes a row of hours. Its order is the order in which rows are locked."""

    tenant_id: int
    hour: datetime
    api_key_id: int
    member_id: int
    agent: str
    route: str
    door: str


class NewRow(NamedTuple):
    """A row that a batch brought into the ledger."""

    record: UsageRecord
    hour: datetime
    """In which it began, in UTC."""


def counters_of(records: Iterable[UsageRecord]) -> list[CounterKey]:
    """Every counter that the records name, sorted."""
    return sorted(
        {
            CounterKey(record.tenant_id, charge.counter, charge.window)
            for record in records
            for charge in record.charges
        }
    )


def sum_charges(records: Iterable[UsageRecord]) -> dict[CounterKey, int]:
    """What the records take from each counter, sorted. Without what adds up to nothing."""
    sums: defaultdict[CounterKey, int] = defaultdict(int)
    for record in records:
        for charge in record.charges:
            sums[CounterKey(record.tenant_id, charge.counter, charge.window)] += charge.amount
    return {key: sums[key] for key in sorted(sums) if sums[key]}


def sum_hours(rows: Iterable[NewRow]) -> dict[HourKey, dict[str, int]]:
    """What the rows add to each hour, sorted. Corrections are no requests."""
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
    """Rows as the one parameter of a statement: PostgreSQL takes JSON apart faster than Python
    could put an INSERT together.
    """
    return msgspec.json.encode(rows).decode()
