"""The capacity of a pool, and the share of this worker. Pure."""

from inference.fleet.snapshot import Pool


def capacity_of(pool: Pool) -> int:
    """Maximum number of running requests of the pool; 0 if no endpoint is ready."""
    room = sum(endpoint.max_concurrency for endpoint in pool.endpoints if endpoint.is_able)
    return room if pool.max_in_flight is None else min(room, pool.max_in_flight)


def worker_share(*, capacity: int, workers: int, elsewhere: int, settled: bool) -> int:
    """Maximum number of running requests of this worker, including unused capacity; at least 1.

    `elsewhere` is the number of running requests that the other workers reported last. Until it is
    `settled`, other workers may also take unused capacity, so each takes only a part of it.
    """
    share = max(1, capacity // workers)
    spare = max(0, capacity - share - elsewhere)
    return share + (spare if settled else -(-spare // workers))
