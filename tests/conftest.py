"""Fixtures of all tests."""

import gc

pytest_plugins = [
    "tests.fixtures.cast",
    "tests.fixtures.database",
    "tests.fixtures.emptying",
    "tests.fixtures.examples",
    "tests.fixtures.gateway",
    "tests.fixtures.sessions",
]


def pytest_collection_finish():
    """Nine thousand tests stay in memory to the end: the collector need not look at them again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
