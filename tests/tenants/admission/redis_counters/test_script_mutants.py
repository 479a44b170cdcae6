"""The tests of the scripts are tested: one broken line each, and something must notice."""

import inspect
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from redis.exceptions import RedisError

from tests.fixtures.limits.scripts import Driver, open_window
from tests.tenants.admission.redis_counters import test_script_quotas, test_script_rates
from tests.tenants.admission.redis_counters.histories import Histories
from tests.tenants.admission.redis_counters.mutants import MUTANTS, SCRIPTS, Script
from tests.tenants.admission.redis_counters.test_histories import MODERATE

HUNT = settings(
    MODERATE, max_examples=150, phases=[Phase.generate], database=None, derandomize=True
)
NOTICED = (AssertionError, ExceptionGroup, LookupError, AttributeError, TypeError, RedisError)


def directed() -> Iterator:
    """Tests that need nothing but the scripts, and no table of examples."""
    for module in (test_script_quotas, test_script_rates):
        for name, test in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_") and not hasattr(test, "pytestmark"):
                yield test


def is_noticed_by(test, driver) -> bool:
    driver.server.flushdb()
    try:
        test(**given(test, driver))
    except NOTICED:
        return True
    return False


def given(test, driver) -> dict[str, object]:
    """What the fixtures of these names are."""
    wanted = inspect.signature(test).parameters
    made: dict[str, object] = {"driver": driver}
    if {"window", "limits"} & wanted.keys():
        made["window"] = open_window(driver)
    if "limits" in wanted:
        made["limits"] = test_script_quotas.hourly_limits(driver, made["window"])
    return {name: made[name] for name in wanted}


def histories(driver):
    machine = type("TheseHistories", (Histories,), {"driver": driver})
    run_state_machine_as_test(machine, settings=HUNT)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_a_broken_line_is_noticed(server, mutant):
    broken = mutant.scripts()
    assert broken, "the line is not in the scripts any more"
    driver = Driver(server, mutants=broken)

    assert any(is_noticed_by(test, driver) for test in [*directed(), histories])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda each: each.name)
def test_versions_of_a_script_live_side_by_side(server, script):
    other = Script(script.name, script.text + "-- changed")

    loaded = {server.function_load(each.library, replace=True).decode() for each in (script, other)}

    assert loaded == {script.function, other.function}
