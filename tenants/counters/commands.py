"""Commands of services and jobs on the live counters.

All of them raise RedisError and may be repeated.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from kernel.storage.shared_values import decode
from tenants.admission.limits.checks import ScopeCheck
from tenants.admission.limits.counter_state import CounterState
from tenants.admission.limits.messages import Settlement
from tenants.admission.redis_counters.hold_calls import (
    AS_ESTIMATED,
    portions,
    settlement_arguments,
    settlement_keys,
)
from tenants.admission.redis_counters.keys import DENIED_SECONDS, tenant_key
from tenants.admission.redis_counters.scripts import GONE, ORPHANED, REAP, RECOUNT, SETTLE
from tenants.admission.usage.records import Charge
from tenants.counters.client import limits, run

log = logging.getLogger(__name__)

MAX_REAPED_HOLDS = 1000
HOLDS_PER_REAP = 100
MAX_COUNTED_HOLDS = 5000
"""Recounting so many holds takes Redis about 40 ms. A tenant with more is recounted later."""
SCOPES_AT_ONCE = 200


class HoldProgress(msgspec.Struct, frozen=True, array_like=True):
    """The part of a hold that heartbeats rewrite. The order of fields is that of `holds.lua`."""

    phase: int
    granted: int
    requested_prompt: int
    rate_tokens: int
    prompt: int
    completion: int
    cached: int
    estimated: bool


class StoredHold(msgspec.Struct, frozen=True, array_like=True):
    """A hold in the format that the scripts store."""

    progress: HoldProgress
    amounts: tuple[int, ...]
    taken: tuple[int, ...]
    scopes: tuple[ScopeCheck, ...]
    facts: str


HOLDS = msgspec.msgpack.Decoder(StoredHold)
MAX_LOGGED_BYTES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonedRequest:
    """A request whose worker stopped renewing its hold. Its last known usage is billed."""

    request_id: str
    facts: bytes
    """JSON of the fields of a UsageRecord that were known at the admission."""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    estimated: bool
    charges: tuple[Charge, ...]
    """Charges of the last known usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field of a scope that differed from the sum of the holds, and was corrected."""

    scope: str
    field: str
    was: int
    should_be: int


def push_states(states: Sequence[CounterState]) -> None:
    """Set the totals of counters, for example after a top-up. Older versions are ignored."""
    settle_holds((), states)


def settle_holds(settlements: Sequence[Settlement], states: Sequence[CounterState]) -> None:
    """Remove the holds of requests that are in the ledger, and set the totals of the ledger."""
    tenants = {each.tenant_id for each in settlements} | {each.tenant_id for each in states}
    for tenant_id in tenants:
        ours = [each for each in settlements if each.tenant_id == tenant_id]
        totals = [each for each in states if each.tenant_id == tenant_id]
        for arguments in settlement_arguments(ours, totals):
            run(SETTLE, settlement_keys(tenant_id), *arguments)


def reap(tenant_id: int) -> int:
    """Move at most 1000 expired holds to the stream of abandoned requests. Return the number."""
    keys = [tenant_key(tenant_id, name) for name in ("holds", "expiries", "orphans")]
    reaped = 0
    while reaped < MAX_REAPED_HOLDS:
        found: int = run(REAP, keys, HOLDS_PER_REAP)[3]
        reaped += found
        if found < HOLDS_PER_REAP:
            break
    return reaped


def abandoned_requests(tenant_id: int, *, limit: int = 100) -> list[AbandonedRequest]:
    """Return the abandoned requests to bill, the oldest first. Bill each, then `acknowledge` it.

    A request that is not acknowledged is returned again. Requests that were settled or resumed by
    their worker in the meantime are left out and removed from the stream.
    """
    entries = abandoned_entries(tenant_id, limit)
    if not entries:
        return []
    ids = [request_id for _, request_id in entries]
    packed: list[bytes | None] = limits().hmget(tenant_key(tenant_id, "holds"), ids)  # type: ignore[assignment]
    found, over = [], []
    for (entry, request_id), blob in zip(entries, packed, strict=True):
        hold = read_hold(request_id, blob)
        if hold is not None and hold.progress.phase == ORPHANED:
            found.append(abandoned_request(request_id, hold))
        else:
            over.append(entry)
    if over:
        limits().xdel(tenant_key(tenant_id, "orphans"), *over)
    return found


def abandoned_entries(tenant_id: int, limit: int) -> list[tuple[bytes, str]]:
    """Return the ids of the stream's entries, each with its request id."""
    stream = tenant_key(tenant_id, "orphans")
    entries: list[tuple[bytes, dict[bytes, bytes]]] = limits().xrange(stream, count=limit)  # type: ignore[assignment]
    return [(entry, fields.get(b"id", b"").decode(errors="replace")) for entry, fields in entries]


def read_hold(request_id: str, blob: bytes | None) -> StoredHold | None:
    """Decode a hold; None if it is missing or unreadable."""
    if blob is None:
        return None
    hold = decode(blob, HOLDS, reader="hold")
    if hold is None:
        log.critical(
            "abandoned requests: hold unreadable, not billable (request=%s): %r",
            request_id,
            blob[:MAX_LOGGED_BYTES],
        )
    return hold


def abandoned_request(request_id: str, hold: StoredHold) -> AbandonedRequest:
    progress = hold.progress
    tokens = {
        "prompt": progress.prompt,
        "completion": progress.completion,
        "cached": progress.cached,
    }
    return AbandonedRequest(
        request_id=request_id,
        facts=hold.facts.encode(),
        prompt_tokens=progress.prompt,
        completion_tokens=progress.completion,
        cached_tokens=progress.cached,
        estimated=progress.estimated,
        charges=tuple(
            Charge(counter=quota.counter, window=quota.window, amount=quota.amount(**tokens))
            for scope in hold.scopes
            for quota in scope.quotas
        ),
    )


def acknowledge(tenant_id: int, request_ids: Sequence[str], states: Sequence[CounterState]) -> None:
    """Remove billed requests from Redis, and set the totals of the ledger."""
    settle_holds(
        [
            Settlement(tenant_id=tenant_id, request_id=request_id, rate_tokens=AS_ESTIMATED)
            for request_id in request_ids
        ],
        states,
    )
    billed = set(request_ids)
    done = [entry for entry, its in abandoned_entries(tenant_id, MAX_REAPED_HOLDS) if its in billed]
    if done:
        limits().xdel(tenant_key(tenant_id, "orphans"), *done)


def recount(tenant_id: int) -> list[Difference]:
    """Correct the held amounts and running requests of scopes. Return the differences.

    A tenant with more than MAX_COUNTED_HOLDS is skipped, because counting them would delay all
    other requests to Redis.
    """
    keys = [tenant_key(tenant_id, name) for name in ("holds", "scopes")]
    scopes: set[bytes] = limits().smembers(keys[1])  # type: ignore[assignment]
    differences: list[Difference] = []
    for portion in portions(sorted(scopes), SCOPES_AT_ONCE):
        reply = run(RECOUNT, keys, MAX_COUNTED_HOLDS, *portion)
        if reply[1] == GONE:
            log.warning("counters: recount skipped, too many holds (tenant_id=%d)", tenant_id)
            return differences
        differences += map(difference, *(reply[3 + n :: 4] for n in range(4)))
    return differences


def difference(scope: bytes, field: bytes, was: bytes, should_be: bytes) -> Difference:
    return Difference(
        scope=scope.decode(), field=field.decode(), was=int(was), should_be=int(should_be)
    )


def deny(*, tenant_id: int, names: Iterable[str], why: str) -> None:
    """Deny all requests of `tenant`, or of `key:<id>`, for an hour.

    By then every gateway has loaded the change from PostgreSQL.
    """
    key = tenant_key(tenant_id, "denied")
    change = limits().pipeline(transaction=True)
    change.hset(key, mapping=dict.fromkeys(names, why))
    change.expire(key, DENIED_SECONDS)
    change.execute()


def allow(*, tenant_id: int, names: Sequence[str]) -> None:
    """Undo `deny`."""
    limits().hdel(tenant_key(tenant_id, "denied"), *names)
