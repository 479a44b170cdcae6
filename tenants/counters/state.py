"""The live counters of a tenant, as Redis has them at one moment, for pages."""

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
    """A quota's window in Redis. `used` is None while Redis does not have it: not zero."""

    counter: str
    window: str
    used: int | None
    held: int
    granted: int
    version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveScope:
    """A scope in Redis. Theoretical arrival times in µs since 1970; None: nothing came yet."""

    scope: str
    running: int
    request_tat_us: int | None
    token_tat_us: int | None
    windows: tuple[LiveWindow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """All of a tenant at one moment; `now_us` is Redis' clock, in µs since 1970."""

    tenant_id: int
    now_us: int
    holds: int
    orphans: int
    """Holds of dead workers that are not billed yet."""
    scopes: tuple[LiveScope, ...]

    @property
    def windows(self) -> dict[tuple[str, str], LiveWindow]:
        """By counter and window."""
        return {
            (each.counter, each.window): each for scope in self.scopes for each in scope.windows
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """So many equal refusals within about a second."""

    at: datetime
    reason: str
    scope: str
    key_id: int
    count: int
    shadow: bool
    """They were let through: the limit is in shadow mode or soft."""


def read_live(*, tenant_id: int) -> LiveState:
    """Everything that Redis counts for a tenant now. Raises CountersUnreadable."""
    try:
        return fetch_live(tenant_id)
    except redis.RedisError as error:
        raise CountersUnreadable from error


def fetch_live(tenant_id: int) -> LiveState:
    members: set[bytes] = limits().smembers(tenant_key(tenant_id, "scopes"))  # type: ignore[assignment]
    names = sorted(name.decode(errors="replace") for name in members)
    asked = limits().pipeline(transaction=False)
    asked.time()
    asked.hlen(tenant_key(tenant_id, "holds"))
    asked.xlen(tenant_key(tenant_id, "orphans"))
    for name in names:
        asked.hgetall(scope_key(tenant_id, name))
    (seconds, micros), holds, orphans, *hashes = asked.execute()
    return LiveState(
        tenant_id=tenant_id,
        now_us=seconds * 1_000_000 + micros,
        holds=holds,
        orphans=orphans,
        scopes=tuple(live_scope(*each) for each in zip(names, hashes, strict=True) if each[1]),
    )


def live_scope(scope: str, fields: Mapping[bytes, bytes]) -> LiveScope:
    """A scope's hash, whose fields are those of `redis_keys`."""
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
    """Of fields such as `u:tokens:1793491200-1796083200`."""
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


def read_refusals(*, tenant_id: int, most: int = 100) -> list[Refusal]:
    """The last refusals, the newest first. Raises CountersUnreadable."""
    try:
        entries: list[tuple[bytes, dict[bytes, bytes]]] = limits().xrevrange(  # type: ignore[assignment]
            tenant_key(tenant_id, "refusals"), count=most
        )
    except redis.RedisError as error:
        raise CountersUnreadable from error
    found = (refusal(*entry) for entry in entries)
    return [each for each in found if each is not None]


def refusal(entry: bytes, fields: Mapping[bytes, bytes]) -> Refusal | None:
    """None for what cannot be read."""
    try:
        milliseconds = int(entry.partition(b"-")[0])
        return Refusal(
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
