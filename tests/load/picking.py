"""What choosing an endpoint costs: µs of each strategy, with 1, 100 and 1,000 endpoints."""

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

if __name__ == "__main__":
    # A script's own folder is on the path, the checkout is not.
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from inference.fleet.balancer import EndpointBalancer
from inference.fleet.endpoint_state import ReportedLoad
from inference.fleet.in_flight import InFlight
from inference.fleet.pick_context import PickContext
from inference.fleet.snapshot import Endpoint, Pool
from inference.fleet.strategies import MIN_PREFIX_BYTES, STRATEGIES

PICKS = 500
WARMING = 50
ROUNDS = 5
KEYS = 997


@dataclass(frozen=True, kw_only=True)
class PickCost:
    """In µs, the median of some rounds."""

    strategy: str
    endpoints: int
    choice: float
    whole: float
    """With the lease that is taken, and given back."""


def measure_picking(*, endpoints: int, picks: int = PICKS) -> list[PickCost]:
    """Every strategy, on a pool of so many endpoints that all work on something."""
    return [measure_strategy(name, endpoints=endpoints, picks=picks) for name in STRATEGIES]


def measure_strategy(strategy: str, *, endpoints: int, picks: int) -> PickCost:
    balancer = EndpointBalancer(InFlight(), rng=random.Random(7))
    pool = pool_of(strategy, endpoints=endpoints)
    occupy(balancer, pool)
    keys, prefixes = wishes()
    numbers = count()

    def choose() -> None:
        number = next(numbers) % KEYS
        context = PickContext(affinity_key=keys[number], prefix=prefixes[number])
        balancer.choose(pool, context, visited=())

    def choose_and_count() -> None:
        number = next(numbers) % KEYS
        context = PickContext(affinity_key=keys[number], prefix=prefixes[number])
        chosen = balancer.choose(pool, context, visited=())
        balancer.start_request(pool, chosen).release()

    return PickCost(
        strategy=strategy,
        endpoints=endpoints,
        choice=microseconds(choose, times=picks),
        whole=microseconds(choose_and_count, times=picks),
    )


def wishes() -> tuple[list[bytes], list[bytes]]:
    keys = [f"key:{number}".encode() for number in range(KEYS)]
    return keys, [key * MIN_PREFIX_BYTES for key in keys]


def microseconds(call: Callable[[], None], *, times: int) -> float:
    for _ in range(WARMING):
        call()
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(times):
            call()
        rounds.append((time.perf_counter() - started) / times * 1e6)
    return sorted(rounds)[ROUNDS // 2]


def occupy(balancer: EndpointBalancer, pool: Pool) -> None:
    """Every endpoint runs something, has answered before, and tells of its queue."""
    loads = {}
    for number, candidate in enumerate(balancer.field(pool).candidates):
        for _ in range(number % 5):
            balancer.start_request(pool, candidate)
        balancer.note_first_token(pool, candidate, seconds=0.1 + number % 7 / 100)
        loads[candidate.endpoint.id] = ReportedLoad(waiting=number % 4, kv=number % 10 / 10)
    balancer.apply_engine_loads(loads)


def pool_of(strategy: str, *, endpoints: int) -> Pool:
    return Pool(
        name=f"{strategy}-{endpoints}",
        engine="vllm",
        strategy=strategy,
        endpoints=tuple(
            Endpoint(id=f"e{number}", address=f"http://e{number}", model="m", weight=1 + number % 3)
            for number in range(endpoints)
        ),
    )


def worst(costs: list[PickCost]) -> PickCost:
    """The dearest choice."""
    return max(costs, key=lambda cost: cost.choice)


if __name__ == "__main__":
    for size in (1, 100, 1000):
        for cost in measure_picking(endpoints=size):
            print(
                f"{cost.endpoints:5} {cost.strategy:25} {cost.choice:7.1f} µs, "
                f"with its lease {cost.whole:7.1f} µs"
            )
