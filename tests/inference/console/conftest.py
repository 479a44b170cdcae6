"""Users and clients of the console for the tests of this folder."""

from tests.fixtures.console.people import acme, console, operator, pool, rival, route

__all__ = ["acme", "console", "operator", "pool", "rival", "route"]
