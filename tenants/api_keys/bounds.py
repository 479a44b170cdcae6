"""Bounds of keys, which only users of a sufficient rank may widen. Pure.

A restriction of a key is a bound: users of a lower rank may narrow it further, but never widen it.
The same holds for unblocking (`ApiKeyQuerySet`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any


class Rank(IntEnum):
    """Ranks of users, ascending. The console is for operators only."""

    DEVELOPER = 1
    ADMIN = 2
    OPERATOR = 3


DEFAULT_RANK = Rank.ADMIN
"""The rank of the bounds of older keys, which have no record."""

Bounds = Mapping[str, Mapping[str, Any]]
"""Bounds by field of a key, as JSON: `{"rank": 3, "value": ["chat"]}`."""


def is_within_scopes(value: Sequence[str], bound: Sequence[str]) -> bool:
    return set(value) <= set(bound)


def is_within_models(value: Sequence[str], bound: Sequence[str]) -> bool:
    return bool(value) and set(value) <= set(bound)


def is_within_networks(value: Sequence[str], bound: Sequence[str]) -> bool:
    allowed = [ip_network(each, strict=False) for each in bound]
    return bool(value) and all(
        any(is_subnet(ip_network(each, strict=False), wider) for wider in allowed) for each in value
    )


def is_subnet(network: IPv4Network | IPv6Network, wider: IPv4Network | IPv6Network) -> bool:
    return network.version == wider.version and network.subnet_of(wider)  # type: ignore[arg-type]


def is_within_expiry(value: datetime | None, bound: str) -> bool:
    return value is not None and value <= datetime.fromisoformat(bound)


IS_WITHIN: Mapping[str, Callable[[Any, Any], bool]] = {
    "scopes": is_within_scopes,
    "allowed_models": is_within_models,
    "allowed_networks": is_within_networks,
    "expires_at": is_within_expiry,
}
"""The fields that restrict the use of a key, and the comparisons of a value with a bound."""


def bounds_of(values: Mapping[str, Any], *, every_scope: Sequence[str], rank: Rank) -> Bounds:
    """Return the bounds, by field, for `values` that were set by a user of this rank."""
    unlimited = {"scopes": set(every_scope)}
    return {
        name: {"rank": int(rank), "value": as_json(values[name])}
        for name in IS_WITHIN
        if name in values and not is_unlimited(name, values[name], unlimited.get(name))
    }


def is_unlimited(name: str, value: Any, every: set[str] | None) -> bool:
    return set(value) >= every if every is not None else not value


def as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else list(value)


def widened(values: Mapping[str, Any], bounds: Bounds, *, rank: Rank) -> list[str]:
    """Return the fields of `values` that exceed a bound of a higher rank."""
    return [
        name
        for name, value in values.items()
        if name in bounds
        and bounds[name]["rank"] > rank
        and not IS_WITHIN[name](value, bounds[name]["value"])
    ]


def changed_bounds(
    values: Mapping[str, Any], bounds: Bounds, *, every_scope: Sequence[str], rank: Rank
) -> Bounds:
    """Return the bounds after a user has set `values`. Bounds of a higher rank stay."""
    unchanged = {
        name: bound for name, bound in bounds.items() if name not in values or bound["rank"] > rank
    }
    return {**bounds_of(values, every_scope=every_scope, rank=rank), **unchanged}
