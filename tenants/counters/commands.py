"""What services and jobs do with the live counters. Everything here raises RedisError.

All of it may be said again.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from kernel.storage.shared_values import decode
from tenants.admission.limits.checks import ScopeCheck
from tenants.admission.limits.messages import Settlement
from tenants.admission.limits.rules import CounterState
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
"""About 40 ms of Redis' time; a tenant with more holds at once is counted when it is calmer."""
SCOPES_AT_ONCE = 200


class HoldProgress(msgspec.Struct, frozen=True, array_like=True):
    """The part of a hold that heartbeats rewrite; as in `holds.lua`."""

    phase: int
    granted: int
    asked_prompt: int
    rate_tokens: int
    prompt: int
    completion: int
    cached: int
    estimated: bool


class Hold(msgspec.Struct, frozen=True, array_like=True):
    """A hold as the scripts keep it."""

    progress: HoldProgress
    amounts: tuple[int, ...]
    taken: tuple[int, ...]
    scopes: tuple[ScopeCheck, ...]
    facts: str


HOLDS = msgspec.msgpack.Decoder(Hold)
MAX_LOGGED_BYTES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A request whose worker stopped renewing it: to be billed with what was seen last."""

    request_id: str
    facts: bytes
    """JSON, the fields of a UsageRecord that its worker knew at the start."""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    estimated: bool
    charges: tuple[Charge, ...]
    """What the checkpoint takes from each quota."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field of a scope that was not what the holds add up to. It was put right."""

    scope: str
    field: str
    was: int
    should_be: int


def push_states(states: Sequence[CounterState]) -> None:
    """Bring new totals, as after a top-up. Older ones change nothing."""
    settle_holds((), states)


def settle_holds(settlements: Sequence[Settlement], states: Sequence[CounterState]) -> None:
    """Remove holds that are in the ledger now, and bring its totals; of several tenants."""
    tenants = {each.tenant_id for each in settlements} | {each.tenant_id for each in states}
    for tenant_id in tenants:
        ours = [each for each in settlements if each.tenant_id == tenant_id]
        totals = [each for each in states if each.tenant_id == tenant_id]
        for arguments in settlement_arguments(ours, totals):
            run(SETTLE, settlement_keys(tenant_id), *arguments)


def reap(tenant_id: int) -> int:
    """Turn at most 1000 expired holds into orphans. Returns how many."""
    keys = [tenant_key(tenant_id, name) for name in ("holds", "expiries", "orphans")]
    reaped = 0
    while reaped < MAX_REAPED_HOLDS:
        found: int = run(REAP, keys, HOLDS_PER_REAP)[3]
        reaped += found
        if found < HOLDS_PER_REAP:
            break
    return reaped


def orphans(tenant_id: int, *, most: int = 100) -> list[Orphan]:
    """Holds to be billed, the oldest first. Bill each, then `acknowledge` it.

    A job that dies in between finds it again. What was settled or taken back by its worker in the
    meantime is left out, and no longer an orphan.
    """
    entries = orphan_entries(tenant_id, most)
    if not entries:
        return []
    ids = [request_id for _, request_id in entries]
    packed: list[bytes | None] = limits().hmget(tenant_key(tenant_id, "holds"), ids)  # type: ignore[assignment]
    found, over = [], []
    for (entry, request_id), blob in zip(entries, packed, strict=True):
        hold = read_hold(request_id, blob)
        if hold is not None and hold.progress.phase == ORPHANED:
            found.append(orphan(request_id, hold))
        else:
            over.append(entry)
    if over:
        limits().xdel(tenant_key(tenant_id, "orphans"), *over)
    return found


def orphan_entries(tenant_id: int, most: int) -> list[tuple[bytes, str]]:
    """Entries of the stream with their request ids."""
    stream = tenant_key(tenant_id, "orphans")
    entries: list[tuple[bytes, dict[bytes, bytes]]] = limits().xrange(stream, count=most)  # type: ignore[assignment]
    return [(entry, fields.get(b"id", b"").decode(errors="replace")) for entry, fields in entries]


def read_hold(request_id: str, blob: bytes | None) -> Hold | None:
    """None if it is gone, or cannot be read and so not be billed."""
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


def orphan(request_id: str, hold: Hold) -> Orphan:
    progress = hold.progress
    tokens = {
        "prompt": progress.prompt,
        "completion": progress.completion,
        "cached": progress.cached,
    }
    return Orphan(
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
    """These orphans are billed, and these are the totals since: their holds go."""
    settle_holds(
        [
            Settlement(tenant_id=tenant_id, request_id=request_id, rate_tokens=AS_ESTIMATED)
            for request_id in request_ids
        ],
        states,
    )
    billed = set(request_ids)
    done = [entry for entry, its in orphan_entries(tenant_id, MAX_REAPED_HOLDS) if its in billed]
    if done:
        limits().xdel(tenant_key(tenant_id, "orphans"), *done)


def recount(tenant_id: int) -> list[Difference]:
    """Put right what scopes hold and run. Returns what differed.

    A tenant with very many holds is left alone: counting them would hold up everybody else.
    """
    keys = [tenant_key(tenant_id, name) for name in ("holds", "scopes")]
    scopes: set[bytes] = limits().smembers(keys[1])  # type: ignore[assignment]
    differences: list[Difference] = []
    for portion in portions(sorted(scopes), SCOPES_AT_ONCE):
        reply = run(RECOUNT, keys, MAX_COUNTED_HOLDS, *portion)
        if reply[1] == GONE:
            log.warning("counters: too many holds to recount now (tenant_id=%d)", tenant_id)
            return differences
        differences += map(difference, *(reply[3 + n :: 4] for n in range(4)))
    return differences


def difference(scope: bytes, field: bytes, was: bytes, should_be: bytes) -> Difference:
    return Difference(
        scope=scope.decode(), field=field.decode(), was=int(was), should_be=int(should_be)
    )


def deny(*, tenant_id: int, names: Iterable[str], why: str) -> None:
    """Admit nothing more for `tenant`, or for `key:<id>`, from this moment and for an hour.

    By then every gateway knows from PostgreSQL.
    """
    key = tenant_key(tenant_id, "denied")
    change = limits().pipeline(transaction=True)
    change.hset(key, mapping=dict.fromkeys(names, why))
    change.expire(key, DENIED_SECONDS)
    change.execute()


def allow(*, tenant_id: int, names: Sequence[str]) -> None:
    """Lift what `deny` did."""
    limits().hdel(tenant_key(tenant_id, "denied"), *names)
