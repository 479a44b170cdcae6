"""Requests whose worker died: they are billed with what was last seen of them, once."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from django.conf import settings

from kernel.redis import connect
from tenants.admission.limits import Charge
from tenants.admission.redis_keys import tenant_key
from tenants.admission.usage import UsageRecord

log = logging.getLogger(__name__)


class Orphan(Protocol):
    """What Redis knows of a request whose worker died."""

    request_id: str
    facts: bytes
    """JSON of a UsageRecord's fields, as far as they were known at its admission."""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    estimated: bool
    charges: tuple[Charge, ...]


def tenants_with_holds() -> list[int]:
    """Tenants for which requests run, or ran when their worker died. Raises RedisError."""
    before, after = tenant_key(0, "holds").split("0")
    with connect(settings.REDIS_LIMITS_URL) as client:
        keys = client.scan_iter(match=f"{before}*{after}", count=1000)
        names = [key.decode()[len(before) : -len(after)] for key in keys]
    return sorted({int(name) for name in names if name.isdecimal()})


def bill_orphans(tenant_id: int) -> int:
    """Bill the orphans of a tenant and settle them in Redis. Returns how many there were.

    Billing again changes nothing, so a death between bill and settlement costs a repetition.
    Raises LedgerUnavailable and RedisError: then the holds stay, and the next call goes on.
    """
    from tenants import live
    from tenants.ledger import bill_abandoned

    live.reap(tenant_id)
    orphans = live.orphans(tenant_id)
    if not orphans:
        return 0
    appended = bill_abandoned([record_of(orphan) for orphan in orphans])
    live.acknowledge(tenant_id, [orphan.request_id for orphan in orphans], appended.states)
    log.warning("%d requests of tenant %d were billed as abandoned", len(orphans), tenant_id)
    return len(orphans)


def record_of(orphan: Orphan) -> UsageRecord:
    """What was known at its admission, with what was seen of it last."""
    facts = msgspec.json.decode(orphan.facts)
    checkpoint = {
        "request_id": orphan.request_id,
        "kind": "abandoned",
        "prompt_tokens": orphan.prompt_tokens,
        "completion_tokens": orphan.completion_tokens,
        "cached_tokens": orphan.cached_tokens,
        "estimated": orphan.estimated,
        "charges": orphan.charges,
        "status": "failed",
        "error_code": "worker_died",
    }
    now = datetime.now(UTC)
    times = {"ended_at": now.isoformat(), "duration_ms": lasted_ms(facts, now)}
    return msgspec.convert({**times, **facts, **checkpoint}, UsageRecord)


def lasted_ms(facts: Mapping[str, Any], now: datetime) -> float:
    """From the admission until now, because nobody knows when it ended."""
    return (now - datetime.fromisoformat(facts["started_at"])).total_seconds() * 1000
