"""Heartbeats and settlements as calls: many requests of one tenant in each."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from tenants.admission.limits.messages import Progress, Settlement
from tenants.admission.limits.rules import CounterState
from tenants.admission.redis_counters.keys import tenant_key
from tenants.admission.redis_counters.resp import Call, pack_call, packed_text
from tenants.admission.redis_counters.scripts import ENDED, RENEW, RUNNING, SETTLE
from tenants.admission.redis_counters.states import pack_states

MAX_HOLDS_PER_CALL = 100
"""In one call: a script holds up everybody else while it runs."""
DEADLINE_SECONDS = 0.25
"""A call that Redis comes to later than that is not obeyed: who sent it has given up on it."""
LEASE_US = 30_000_000
AS_ESTIMATED = -1
"""As the true tokens of a settlement: they are not known, so the rates stay as they are."""
ENDED_LEASE_US = 24 * 3600 * 1_000_000

T = TypeVar("T")

encode = msgspec.msgpack.Encoder().encode


def portions(items: Sequence[T], size: int = MAX_HOLDS_PER_CALL) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def renewal_calls(progress: Sequence[Progress], *, deadline: Callable[[], int]) -> list[Call]:
    """The heartbeat of these requests; `deadline` in µs of Redis' clock."""
    tenants: dict[int, list[Progress]] = defaultdict(list)
    for each in progress:
        tenants[each.ask.checks.tenant_id].append(each)
    return [
        renewal_call(tenant_id, portion, deadline=deadline())
        for tenant_id, its in tenants.items()
        for portion in portions(its)
    ]


def renewal_call(tenant_id: int, progress: Sequence[Progress], *, deadline: int) -> Call:
    keys = [tenant_key(tenant_id, name) for name in ("holds", "expiries", "scopes")]
    arguments = [encode((LEASE_US, ENDED_LEASE_US, deadline))]
    for each in progress:
        ask = each.ask
        arguments += (ask.request_id.encode(), encode(numbers(each)))
        arguments += (ask.checks.packed, packed_text(ask.facts))
    return pack_call(RENEW, keys, b"renew", arguments)


def numbers(progress: Progress) -> tuple[int | bool, ...]:
    """The progress of a hold as the scripts keep it."""
    ask = progress.ask
    return (
        ENDED if progress.ended else RUNNING,
        progress.completion_granted,
        ask.prompt_tokens,
        ask.rate_tokens,
        progress.prompt_tokens,
        progress.completion_tokens,
        progress.cached_tokens,
        progress.estimated,
    )


def settlement_calls(
    settlements: Sequence[Settlement], states: Sequence[CounterState]
) -> list[Call]:
    """Removals of holds, not before the new totals of their tenant.

    A total that comes too late counts a request twice for a moment; one that comes too early would
    count it not at all. So a hold must never go before its total comes.
    """
    holds: dict[int, list[Settlement]] = defaultdict(list)
    totals: dict[int, list[CounterState]] = defaultdict(list)
    for settlement in settlements:
        holds[settlement.tenant_id].append(settlement)
    for state in states:
        totals[state.tenant_id].append(state)
    calls: list[Call] = []
    for tenant_id in holds.keys() | totals.keys():
        calls += tenant_calls(tenant_id, holds[tenant_id], totals[tenant_id])
    return calls


def tenant_calls(
    tenant_id: int, settlements: Sequence[Settlement], states: Sequence[CounterState]
) -> Iterator[Call]:
    for arguments in settlement_arguments(settlements, states):
        yield pack_call(SETTLE, settlement_keys(tenant_id), b"settle", arguments)


def settlement_keys(tenant_id: int) -> list[str]:
    return [tenant_key(tenant_id, name) for name in ("holds", "expiries", "scopes")]


def settlement_arguments(
    settlements: Sequence[Settlement], states: Sequence[CounterState]
) -> Iterator[list[bytes]]:
    """Of the calls for one tenant: the last totals go with the first holds, all others before."""
    *earlier, last = list(portions(states)) or [()]
    for portion in earlier:
        yield [encode(()), pack_states(portion)]
    for n, removals in enumerate(list(portions(settlements)) or [()]):
        pairs = [(each.request_id, each.rate_tokens) for each in removals]
        yield [encode(pairs), pack_states(last if n == 0 else ())]
