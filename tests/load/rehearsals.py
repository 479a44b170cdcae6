"""The default policy through a tenfold sale, beside somebody who knew the load; and how long a week
takes to rehearse.
"""

import time

from inference.scaling.decision.types import Bounds, Rules, SignalTarget
from inference.scaling.policies.presets import DEFAULT, PRESETS, signals_for
from inference.scaling.rehearsal.load_profiles import DAY, LOAD_PROFILES, moments_of
from inference.scaling.rehearsal.simulation import Capacity, oracle_hours, rehearse

CAPACITY = Capacity(requests_per_second=4, slots=16, start_seconds=60)
ORDINARY = 8.0
"""Requests a second: what two replicas take."""
BEGINS = 1_795_250_000.0


def default_rules() -> Rules:
    signals = signals_for(PRESETS[DEFAULT], slots=CAPACITY.slots)
    return Rules(
        targets=tuple(SignalTarget(**each) for each in signals),
        bounds=Bounds(min_replicas=1, max_replicas=100),
    )


def report_rehearsals() -> None:
    """Print both."""
    rules = default_rules()
    sale = moments_of(LOAD_PROFILES["sale"], base_request_rate=ORDINARY, begins=BEGINS)
    found = rehearse(lambda _: rules, sale, capacity=CAPACITY, initial_replicas=3)
    oracle = oracle_hours(sale, capacity=CAPACITY)
    print(
        f"tenfold sale, default preset: wait p95 {found.wait_p95:.2f} s, longest "
        f"{found.wait_max:.1f} s, {found.replica_hours:.1f} replica-hours; an oracle "
        f"{oracle:.1f} ({found.replica_hours / oracle:.2f} times)"
    )
    week = moments_of(
        LOAD_PROFILES["wave"]._replace(seconds=7 * DAY), base_request_rate=ORDINARY, begins=BEGINS
    )
    began = time.perf_counter()
    rehearse(lambda _: rules, week, capacity=CAPACITY, initial_replicas=3)
    took = time.perf_counter() - began
    print(f"rehearsal of 7 days ({len(week):,} samples): {took:.2f} s")


if __name__ == "__main__":
    report_rehearsals()
