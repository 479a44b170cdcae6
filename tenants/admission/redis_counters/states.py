"""Counters' states as the scripts read them."""

from collections.abc import Sequence

import msgspec

from tenants.admission.limits.field_names import window_field
from tenants.admission.limits.rules import CounterState

encode = msgspec.msgpack.Encoder().encode


def pack_states(states: Sequence[CounterState]) -> bytes:
    """Of one tenant: [scope, field, used, granted, version] of each."""
    return encode([state_row(state) for state in states])


def state_row(state: CounterState) -> tuple[str, str, int, int, int]:
    scope, _, unit = state.counter.rpartition("|")
    field = window_field(unit, state.window)
    return scope, field, state.used, state.granted, state.version
