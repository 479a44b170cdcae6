"""A snapshot of the live counters of a tenant in Redis, for display."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

import redis

from kernel.storage.shared_values import note_unreadable
from tenants.admission.redis_counters.keys import scope_key, tenant_key
from tenants.counters.client import limits
from tenants.errors import CountersUnreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveWindow:
    """A quota window in Redis. `used` is None, not 0, if Redis does not have the counter."""

    counter: str
    window: str
    used: int | None
    held: int
    granted: int
    version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveScope:
    """A scope in Redis. Theoretical arrival times in µs since 1970; None before any request."""

    scope: str
    running: int
    request_tat_us: int | None
    token_tat_us: int | None
    windows: tuple[LiveWindow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """A snapshot of a tenant; `now_us` is Redis' clock, in µs since 1970."""

    tenant_id: int
    now_us: int
    holds: int
    abandoned_requests: int
    """Holds of dead workers that are not billed yet."""
    scopes: tuple[LiveScope, ...]

    @property
    def windows(self) -> dict[tuple[str, str], LiveWindow]:
        """Windows by counter and window id."""
        return {
            (each.counter, each.window): each for scope in self.scopes for each in scope.windows
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedRefusal:
    """The number of equal refusals within about a second."""

    at: datetime
    reason: str
    scope: str
    key_id: int
    count: int
    shadow: bool
    """Whether the requests were admitted, because the limit is in shadow mode or soft."""


def read_live(*, tenant_id: int) -> LiveState:
    """Return the state of a tenant's counters in Redis. Raises CountersUnreadable."""
    try:
        return fetch_live(tenant_id)
    except redis.RedisError as error:
        raise CountersUnreadable from error


def fetch_live(tenant_id: int) -> LiveState:
    members: set[bytes] = limits().smembers(tenant_key(tenant_id, "scopes"))  # type: ignore[assignment]
    names = sorted(name.decode(errors="replace") for name in members)
    pipeline = limits().pipeline(transaction=False)
    pipeline.time()
    pipeline.hlen(tenant_key(tenant_id, "holds"))
    pipeline.xlen(tenant_key(tenant_id, "orphans"))
    for name in names:
        pipeline.hgetall(scope_key(tenant_id, name))
    (seconds, micros), holds, abandoned_requests, *hashes = pipeline.execute()
    return LiveState(
        tenant_id=tenant_id,
        now_us=seconds * 1_000_000 + micros,
        holds=holds,
        abandoned_requests=abandoned_requests,
        scopes=tuple(live_scope(*each) for each in zip(names, hashes, strict=True) if each[1]),
    )


def live_scope(scope: str, fields: Mapping[bytes, bytes]) -> LiveScope:
    """Parse the hash of a scope."""
    numbers = dict(readable_numbers(fields))
    return LiveScope(
        scope=scope,
        running=numbers.pop("c", 0),
        request_tat_us=numbers.pop("tr", None),
        token_tat_us=numbers.pop("tt", None),
        windows=tuple(live_windows(scope, numbers)),
    )


def readable_numbers(fields: Mapping[bytes, bytes]) -> Iterator[tuple[str, int]]:
    for name, value in fields.items():
        try:
            yield name.decode(), int(value)
        except ValueError as error:
            note_unreadable("counter", error)


def live_windows(scope: str, numbers: Mapping[str, int]) -> Iterator[LiveWindow]:
    """Yield the windows in fields such as `u:tokens:1793491200-1796083200`."""
    for quota, names in groupby(sorted(numbers, key=quota_of), key=quota_of):
        of = {name[0]: numbers[name] for name in names}
        unit, _, window = quota.partition(":")
        yield LiveWindow(
            counter=f"{scope}|{unit}",
            window=window,
            used=of.get("u"),
            held=of.get("h", 0),
            granted=of.get("g", 0),
            version=of.get("v"),
        )


def quota_of(field: str) -> str:
    return field[2:]


def read_refusals(*, tenant_id: int, limit: int = 100) -> list[CountedRefusal]:
    """Return the most recent refusals, the newest first. Raises CountersUnreadable."""
    try:
        entries: list[tuple[bytes, dict[bytes, bytes]]] = limits().xrevrange(  # type: ignore[assignment]
            tenant_key(tenant_id, "refusals"), count=limit
        )
    except redis.RedisError as error:
        raise CountersUnreadable from error
    found = (refusal(*entry) for entry in entries)
    return [each for each in found if each is not None]


def refusal(entry: bytes, fields: Mapping[bytes, bytes]) -> CountedRefusal | None:
    """Parse an entry of the stream of refusals; None if it is unreadable."""
    try:
        milliseconds = int(entry.partition(b"-")[0])
        return CountedRefusal(
            at=datetime.fromtimestamp(milliseconds / 1000, UTC),
            reason=fields[b"reason"].decode(),
            scope=fields[b"scope"].decode(),
            key_id=int(fields[b"key_id"]),
            count=int(fields[b"count"]),
            shadow=fields[b"shadow"] == b"1",
        )
    except (KeyError, ValueError, OverflowError) as error:
        note_unreadable("refusal", error)
        return None
