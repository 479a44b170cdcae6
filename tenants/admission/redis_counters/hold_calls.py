"""Calls for heartbeats and settlements, each with many requests of one tenant."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from tenants.admission.limits.counter_state import CounterState
from tenants.admission.limits.messages import RequestProgress, Settlement
from tenants.admission.redis_counters.keys import tenant_key
from tenants.admission.redis_counters.resp import RedisCall, pack_call, packed_text
from tenants.admission.redis_counters.scripts import ENDED, RENEW, RUNNING, SETTLE
from tenants.admission.redis_counters.states import pack_states

MAX_HOLDS_PER_CALL = 100
"""Maximum holds in one call, because a script blocks Redis while it runs."""
DEADLINE_SECONDS = 0.25
"""Age at which Redis ignores a call, because its sender has timed out."""
LEASE_US = 30_000_000
AS_ESTIMATED = -1
"""Value of `rate_tokens` if the usage is unknown: the token rates keep the estimate."""
ENDED_LEASE_US = 24 * 3600 * 1_000_000

T = TypeVar("T")

encode = msgspec.msgpack.Encoder().encode


def portions(items: Sequence[T], size: int = MAX_HOLDS_PER_CALL) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def renewal_calls(
    progress: Sequence[RequestProgress], *, deadline: Callable[[], int]
) -> list[RedisCall]:
    """Return the heartbeats of requests; `deadline` returns µs of Redis' clock."""
    tenants: dict[int, list[RequestProgress]] = defaultdict(list)
    for each in progress:
        tenants[each.request.checks.tenant_id].append(each)
    return [
        renewal_call(tenant_id, portion, deadline=deadline())
        for tenant_id, its in tenants.items()
        for portion in portions(its)
    ]


def renewal_call(
    tenant_id: int, progress: Sequence[RequestProgress], *, deadline: int
) -> RedisCall:
    keys = [tenant_key(tenant_id, name) for name in ("holds", "expiries", "scopes")]
    arguments = [encode((LEASE_US, ENDED_LEASE_US, deadline))]
    for each in progress:
        request = each.request
        arguments += (request.request_id.encode(), encode(numbers(each)))
        arguments += (request.checks.packed, packed_text(request.facts))
    return pack_call(RENEW, keys, b"renew", arguments)


def numbers(progress: RequestProgress) -> tuple[int | bool, ...]:
    """Return the state of a hold in the format that the scripts store."""
    request = progress.request
    return (
        ENDED if progress.ended else RUNNING,
        progress.completion_granted,
        request.prompt_tokens,
        request.rate_tokens,
        progress.prompt_tokens,
        progress.completion_tokens,
        progress.cached_tokens,
        progress.estimated,
    )


def settlement_calls(
    settlements: Sequence[Settlement], states: Sequence[CounterState]
) -> list[RedisCall]:
    """Return the calls that remove holds, together with or after the new totals of their tenant.

    A total that is set before its hold is removed counts a request twice for a short time. In the
    reverse order the request would not count at all, which must never happen.
    """
    holds: dict[int, list[Settlement]] = defaultdict(list)
    totals: dict[int, list[CounterState]] = defaultdict(list)
    for settlement in settlements:
        holds[settlement.tenant_id].append(settlement)
    for state in states:
        totals[state.tenant_id].append(state)
    calls: list[RedisCall] = []
    for tenant_id in holds.keys() | totals.keys():
        calls += tenant_calls(tenant_id, holds[tenant_id], totals[tenant_id])
    return calls


def tenant_calls(
    tenant_id: int, settlements: Sequence[Settlement], states: Sequence[CounterState]
) -> Iterator[RedisCall]:
    for arguments in settlement_arguments(settlements, states):
        yield pack_call(SETTLE, settlement_keys(tenant_id), b"settle", arguments)


def settlement_keys(tenant_id: int) -> list[str]:
    return [tenant_key(tenant_id, name) for name in ("holds", "expiries", "scopes")]


def settlement_arguments(
    settlements: Sequence[Settlement], states: Sequence[CounterState]
) -> Iterator[list[bytes]]:
    """Yield the arguments of a tenant's calls: totals first, the last ones with the first holds."""
    *earlier, last = list(portions(states)) or [()]
    for portion in earlier:
        yield [encode(()), pack_states(portion)]
    for n, removals in enumerate(list(portions(settlements)) or [()]):
        pairs = [(each.request_id, each.rate_tokens) for each in removals]
        yield [encode(pairs), pack_states(last if n == 0 else ())]
