"""Encoding of counter states for the scripts."""

from collections.abc import Sequence

import msgspec

from tenants.admission.limits.counter_state import CounterState, window_field

encode = msgspec.msgpack.Encoder().encode


def pack_states(states: Sequence[CounterState]) -> bytes:
    """Encode the states of one tenant, each as [scope, field, used, granted, version]."""
    return encode([state_row(state) for state in states])


def state_row(state: CounterState) -> tuple[str, str, int, int, int]:
    scope, _, unit = state.counter.rpartition("|")
    field = window_field(unit, state.window)
    return scope, field, state.used, state.granted, state.version
