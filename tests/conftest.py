"""Fixtures of all tests."""

pytest_plugins = ["tests.fixtures.cast", "tests.fixtures.gateway", "tests.fixtures.sessions"]
