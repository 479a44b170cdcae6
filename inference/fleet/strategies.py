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


def candidates_of(ready: Sequence[Endpoint], *, load: Load) -> list[Endpoint]:
    """Those of the ready endpoints that are not full. Raises NoEndpointAvailable."""
    if not ready:
        raise NoEndpointAvailable(retry_after=5)
    free = [endpoint for endpoint in ready if load(endpoint.id) < endpoint.max_concurrency]
    if not free:
        raise NoEndpointAvailable("All servers of this model are busy. Try again shortly.")
    return free
