"""How many requests may run in a pool at once, and how many of them here. Pure."""

from inference.fleet.snapshot import Pool


def capacity_of(pool: Pool) -> int:
    """Requests that the pool may work on at once; 0 if none of its endpoints is ready."""
    room = sum(endpoint.max_concurrency for endpoint in pool.endpoints if endpoint.is_able)
    return room if pool.max_in_flight is None else min(room, pool.max_in_flight)


def worker_share(*, capacity: int, workers: int, elsewhere: int, settled: bool) -> int:
    """This worker's part: its share, and what the others leave of theirs; at least 1.

    `elsewhere` is what the others work on, as they told some moments ago. Unless that is `settled`,
    all of them may be about to take what is spare, so each takes only a part of it.
    """
    share = max(1, capacity // workers)
    spare = max(0, capacity - share - elsewhere)
    return share + (spare if settled else -(-spare // workers))
