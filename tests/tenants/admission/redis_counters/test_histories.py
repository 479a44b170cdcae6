"""Random histories against the real scripts: what holds must hold, whatever happens in between."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.tenants.admission.redis_counters.histories import Histories

MODERATE = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def histories_on(driver):
    return type("TheseHistories", (Histories,), {"driver": driver})


@pytest.mark.slow
def test_no_history_breaks_a_limit(driver):
    run_state_machine_as_test(histories_on(driver), settings=MODERATE)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_no_long_history_breaks_a_limit(driver):
    many = settings(MODERATE, max_examples=2000, stateful_step_count=60)

    run_state_machine_as_test(histories_on(driver), settings=many)
