"""Division of a pool's slots between gateway workers."""

import pytest

from inference.fleet.capacity import capacity_of, worker_share
from inference.fleet.snapshot import Endpoint, Pool


def pool(*sizes, ready=True, **facts):
    endpoints = tuple(
        Endpoint(id=str(number), address="http://x", model="m", max_concurrency=size, ready=ready)
        for number, size in enumerate(sizes)
    )
    return Pool(name="p", engine="vllm", endpoints=endpoints, **facts)


def test_a_pool_takes_what_its_ready_endpoints_take():
    assert capacity_of(pool(4, 8)) == 12
    assert capacity_of(pool(4, 8, ready=False)) == 0


def test_a_pools_own_limit_counts_where_it_is_lower():
    assert capacity_of(pool(4, 8, max_in_flight=5)) == 5
    assert capacity_of(pool(4, 8, max_in_flight=50)) == 12


def test_one_worker_has_everything():
    assert worker_share(capacity=10, workers=1, elsewhere=0, settled=False) == 10


@pytest.mark.parametrize("workers", [2, 3, 4, 16])
def test_workers_that_are_all_busy_have_their_shares(workers):
    share = 48 // workers
    elsewhere = 48 - share

    assert worker_share(capacity=48, workers=workers, elsewhere=elsewhere, settled=True) == share


def test_what_idle_workers_leave_is_taken_once_that_is_settled():
    assert worker_share(capacity=10, workers=2, elsewhere=1, settled=False) == 7
    assert worker_share(capacity=2, workers=2, elsewhere=0, settled=False) == 2
    assert worker_share(capacity=10, workers=2, elsewhere=1, settled=True) == 9


def test_every_worker_has_a_place_however_few_there_are():
    assert worker_share(capacity=1, workers=8, elsewhere=7, settled=True) == 1
