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
    """Those of the ready endpoints that are not full; all, if all are. Raises NoEndpointAvailable.

    How many requests a pool works on is bounded by its queue. Where one comes through all the same,
    because several workers share few places, an engine's own queue is better than a refusal.
    """
    able = [endpoint for endpoint in ready if endpoint.max_concurrency]
    if not able:
        raise NoEndpointAvailable(retry_after=5)
    return [each for each in able if load(each.id) < each.max_concurrency] or able
