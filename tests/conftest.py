"""Fixtures of all tests."""

import gc

pytest_plugins = [
    "tests.fixtures.cast",
    "tests.fixtures.database.template",
    "tests.fixtures.database.emptying",
    "tests.fixtures.examples",
    "tests.fixtures.gateway",
    "tests.fixtures.database.sessions",
]


def pytest_collection_modifyitems(items):
    """Start the gateway of a test last: it knows every agent and route that fixtures create."""
    for item in items:
        names = item.fixturenames
        if "gateway" in names:
            names.append(names.pop(names.index("gateway")))


def pytest_collection_finish():
    """Nine thousand tests stay in memory to the end: the collector need not look at them again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
