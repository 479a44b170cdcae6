"""Billing of requests whose worker died: once, by their last known usage."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import redis
from django.conf import settings

from kernel.storage.redis import connect
from kernel.storage.shared_values import UNREADABLE
from tenants.admission.limits.counter_state import CounterState
from tenants.admission.limits.price import FREE, Price
from tenants.admission.redis_counters.keys import tenant_key
from tenants.admission.usage.records import UsageRecord
from tenants.admission.usage.writer import LedgerUnavailable, RecordRefused
from tenants.counters import commands as counter_commands
from tenants.counters.commands import AbandonedRequest
from tenants.ledger import bill_abandoned

log = logging.getLogger(__name__)


def tenants_with_holds() -> list[int]:
    """Return the tenants with holds or abandoned requests. Raises RedisError."""
    before, after = tenant_key(0, "holds").split("0")
    with connect(settings.REDIS_LIMITS_URL) as client:
        keys = client.scan_iter(match=f"{before}*{after}", count=1000)
        names = [key.decode(errors="replace")[len(before) : -len(after)] for key in keys]
    return sorted({int(name) for name in names if name.isdecimal()})


def bill_every_abandoned() -> int:
    """Bill the abandoned requests of all tenants. Return their number. Raises RedisError.

    A failure of one tenant's requests is logged; those of other tenants are still billed.
    """
    billed = 0
    for tenant_id in tenants_with_holds():
        try:
            billed += bill_abandoned_requests(tenant_id)
        except LedgerUnavailable as error:
            log.warning(
                "abandoned requests: ledger unavailable (tenant_id=%d, error=%s)", tenant_id, error
            )
        except redis.ResponseError as error:
            # This tenant's keys have values of a wrong type; other tenants are still billed.
            log.critical(
                "abandoned requests: holds unreadable (tenant_id=%d): %s", tenant_id, error
            )
    return billed


def bill_abandoned_requests(tenant_id: int) -> int:
    """Bill the abandoned requests of a tenant and settle them in Redis. Return their number.

    Billing is idempotent, so a crash between billing and settlement is repaired by the next call.
    Raises LedgerUnavailable and RedisError; then the holds stay for the next call.
    """
    counter_commands.reap(tenant_id)
    billed = 0
    while found := counter_commands.abandoned_requests(tenant_id):
        states = [state for abandoned_request in found for state in bill(abandoned_request)]
        counter_commands.acknowledge(
            tenant_id, [abandoned_request.request_id for abandoned_request in found], states
        )
        billed += len(found)
    if billed:
        log.warning("abandoned requests: billed (requests=%d, tenant_id=%d)", billed, tenant_id)
    return billed


def bill(abandoned_request: AbandonedRequest) -> Sequence[CounterState]:
    """Bill a request. Return the states of its counters; an invalid record is only logged."""
    try:
        return bill_abandoned([record_of(abandoned_request)]).states
    except (RecordRefused, *UNREADABLE) as error:
        log.critical("abandoned requests: not billable (error=%s): %r", error, abandoned_request)
        return ()


def record_of(abandoned_request: AbandonedRequest) -> UsageRecord:
    """Return the record of the admission, with the last known usage. Raises DecodeError."""
    facts = msgspec.json.decode(abandoned_request.facts, type=dict[str, Any])
    checkpoint = {
        "request_id": abandoned_request.request_id,
        "kind": "abandoned",
        "prompt_tokens": abandoned_request.prompt_tokens,
        "completion_tokens": abandoned_request.completion_tokens,
        "cached_tokens": abandoned_request.cached_tokens,
        "estimated": abandoned_request.estimated,
        "charges": abandoned_request.charges,
        "cost_micro": cost_of(abandoned_request, facts),
        "status": "failed",
        "error_code": "worker_died",
    }
    # The end of the request is unknown.
    now = datetime.now(UTC)
    times = {"ended_at": now.isoformat(), "duration_ms": elapsed_ms(facts, now)}
    return msgspec.convert({**times, **facts, **checkpoint}, UsageRecord)


def cost_of(abandoned_request: AbandonedRequest, facts: Mapping[str, Any]) -> int:
    """Return the cost by the price that the route had at the admission."""
    price = msgspec.convert(facts["price"], Price) if "price" in facts else FREE
    return price.cost(
        prompt_tokens=abandoned_request.prompt_tokens,
        cached_tokens=abandoned_request.cached_tokens,
        completion_tokens=abandoned_request.completion_tokens,
    )


def elapsed_ms(facts: Mapping[str, Any], now: datetime) -> float:
    """Return the milliseconds from the admission until now."""
    zoned = Annotated[datetime, msgspec.Meta(tz=True)]
    began: datetime = msgspec.convert(facts.get("started_at"), zoned)
    return (now - began).total_seconds() * 1000
