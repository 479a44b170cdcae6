"""Requests whose worker died: they are billed with what was last seen of them, once."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import redis
from django.conf import settings

from kernel.storage.redis import connect
from kernel.storage.shared_values import UNREADABLE
from tenants.admission.limits.price import FREE, Price
from tenants.admission.limits.rules import CounterState
from tenants.admission.redis_counters.keys import tenant_key
from tenants.admission.usage.records import UsageRecord
from tenants.admission.usage.writer import LedgerUnavailable, RecordRefused
from tenants.counters import commands as counter_commands
from tenants.counters.commands import Orphan
from tenants.ledger import bill_abandoned

log = logging.getLogger(__name__)


def tenants_with_holds() -> list[int]:
    """Tenants for which requests run, or ran when their worker died. Raises RedisError."""
    before, after = tenant_key(0, "holds").split("0")
    with connect(settings.REDIS_LIMITS_URL) as client:
        keys = client.scan_iter(match=f"{before}*{after}", count=1000)
        names = [key.decode(errors="replace")[len(before) : -len(after)] for key in keys]
    return sorted({int(name) for name in names if name.isdecimal()})


def bill_every_orphan() -> int:
    """Bill the orphans of all tenants. Returns how many. Raises RedisError.

    What keeps one tenant's from being billed is logged, and does not hold up the others'.
    """
    billed = 0
    for tenant_id in tenants_with_holds():
        try:
            billed += bill_orphans(tenant_id)
        except LedgerUnavailable as error:
            log.warning(
                "abandoned requests: ledger unavailable (tenant_id=%d, error=%s)", tenant_id, error
            )
        except redis.ResponseError as error:
            # What lies under its keys is not ours; the others' are billed all the same.
            log.critical(
                "abandoned requests: holds unreadable (tenant_id=%d): %s", tenant_id, error
            )
    return billed


def bill_orphans(tenant_id: int) -> int:
    """Bill the orphans of a tenant and settle them in Redis. Returns how many there were.

    Billing again changes nothing, so a death between bill and settlement costs a repetition.
    Raises LedgerUnavailable and RedisError: then the holds stay, and the next call goes on.
    """
    counter_commands.reap(tenant_id)
    billed = 0
    while found := counter_commands.orphans(tenant_id):
        states = [state for orphan in found for state in bill(orphan)]
        counter_commands.acknowledge(tenant_id, [orphan.request_id for orphan in found], states)
        billed += len(found)
    if billed:
        log.warning("abandoned requests: billed (requests=%d, tenant_id=%d)", billed, tenant_id)
    return billed


def bill(orphan: Orphan) -> Sequence[CounterState]:
    """The counters after the bill; of one that the ledger will never take, nothing but a log."""
    try:
        return bill_abandoned([record_of(orphan)]).states
    except (RecordRefused, *UNREADABLE) as error:
        log.critical("abandoned requests: not billable (error=%s): %r", error, orphan)
        return ()


def record_of(orphan: Orphan) -> UsageRecord:
    """What was known at its admission, with what was seen of it last. Raises DecodeError."""
    facts = msgspec.json.decode(orphan.facts, type=dict[str, Any])
    checkpoint = {
        "request_id": orphan.request_id,
        "kind": "abandoned",
        "prompt_tokens": orphan.prompt_tokens,
        "completion_tokens": orphan.completion_tokens,
        "cached_tokens": orphan.cached_tokens,
        "estimated": orphan.estimated,
        "charges": orphan.charges,
        "cost_micro": cost_of(orphan, facts),
        "status": "failed",
        "error_code": "worker_died",
    }
    # Nobody knows when it ended.
    now = datetime.now(UTC)
    times = {"ended_at": now.isoformat(), "duration_ms": lasted_ms(facts, now)}
    return msgspec.convert({**times, **facts, **checkpoint}, UsageRecord)


def cost_of(orphan: Orphan, facts: Mapping[str, Any]) -> int:
    """By the price of the route as it was at the admission."""
    price = msgspec.convert(facts["price"], Price) if "price" in facts else FREE
    return price.cost(
        prompt_tokens=orphan.prompt_tokens,
        cached_tokens=orphan.cached_tokens,
        completion_tokens=orphan.completion_tokens,
    )


def lasted_ms(facts: Mapping[str, Any], now: datetime) -> float:
    """From the admission until now."""
    zoned = Annotated[datetime, msgspec.Meta(tz=True)]
    began: datetime = msgspec.convert(facts.get("started_at"), zoned)
    return (now - began).total_seconds() * 1000
