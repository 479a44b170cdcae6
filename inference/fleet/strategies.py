"""How an endpoint is chosen: pure functions of the candidates and their load."""

import random
from collections.abc import Callable, Sequence

from inference.errors import NoEndpointAvailable
from inference.fleet.snapshot import Endpoint

Load = Callable[[str], int]


def least_requests(candidates: Sequence[Endpoint], *, load: Load, rng: random.Random) -> Endpoint:
    """The endpoint with the fewest running requests, for its size; ties are drawn by lot."""
    if len(candidates) == 1:
        return candidates[0]
    loads = [load(endpoint.id) / endpoint.max_concurrency for endpoint in candidates]
    least = min(loads)
    return rng.choice([e for e, value in zip(candidates, loads, strict=True) if value == least])


def candidates_of(
    endpoints: Sequence[Endpoint], *, load: Load, tried: frozenset[str] = frozenset()
) -> list[Endpoint]:
    """Who may get a request: ready, not full, not tried before. Raises NoEndpointAvailable."""
    ready = [e for e in endpoints if e.ready and e.id not in tried]
    free = [e for e in ready if load(e.id) < e.max_concurrency]
    if free:
        return free
    if ready:
        raise NoEndpointAvailable("All servers of this model are busy. Try again shortly.")
    raise NoEndpointAvailable(retry_after=5)
