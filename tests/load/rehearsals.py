"""The default policy through a tenfold sale, beside somebody who knew the load; and how long a week
takes to rehearse.
"""

import time

from inference.scaling.decision.types import Bounds, Rules, Target
from inference.scaling.policies.presets import DEFAULT, PRESETS, signals_for
from inference.scaling.rehearsal.load_profiles import DAY, SHAPES, moments_of
from inference.scaling.rehearsal.simulation import Capacity, oracle_hours, rehearse

CAPACITY = Capacity(requests_per_second=4, slots=16, start_seconds=60)
ORDINARY = 8.0
"""Requests a second: what two replicas take."""
BEGINS = 1_795_250_000.0


def default_rules() -> Rules:
    signals = signals_for(PRESETS[DEFAULT], slots=CAPACITY.slots)
    return Rules(
        targets=tuple(Target(**each) for each in signals), bounds=Bounds(least=1, most=100)
    )


def report_rehearsals() -> None:
    """Print both."""
    rules = default_rules()
    sale = moments_of(SHAPES["sale"], ordinary=ORDINARY, begins=BEGINS)
    found = rehearse(lambda _: rules, sale, capacity=CAPACITY, begins_with=3)
    oracle = oracle_hours(sale, capacity=CAPACITY)
    print(
        f"tenfold sale, default preset: wait p95 {found.wait_p95:.2f} s, longest "
        f"{found.wait_most:.1f} s, {found.replica_hours:.1f} replica-hours; an oracle "
        f"{oracle:.1f} ({found.replica_hours / oracle:.2f} times)"
    )
    week = moments_of(SHAPES["wave"]._replace(seconds=7 * DAY), ordinary=ORDINARY, begins=BEGINS)
    began = time.perf_counter()
    rehearse(lambda _: rules, week, capacity=CAPACITY, begins_with=3)
    took = time.perf_counter() - began
    print(f"rehearsal of 7 days ({len(week):,} samples): {took:.2f} s")


if __name__ == "__main__":
    report_rehearsals()
