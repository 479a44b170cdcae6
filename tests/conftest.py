"""Fixtures of all tests."""

pytest_plugins = [
    "tests.fixtures.cast",
    "tests.fixtures.emptying",
    "tests.fixtures.examples",
    "tests.fixtures.gateway",
    "tests.fixtures.sessions",
]
