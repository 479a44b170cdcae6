"""The benchmark of choosing chooses with every strategy, and leaves nothing running."""

from inference.fleet.strategies import STRATEGIES
from tests.load.picking import measure_picking, worst


def test_every_strategy_is_measured():
    costs = measure_picking(endpoints=3, picks=5)

    assert [cost.strategy for cost in costs] == list(STRATEGIES)
    assert all(0 < cost.choice < cost.whole * 5 for cost in costs)
    assert worst(costs).choice == max(cost.choice for cost in costs)
