"""The console's cast, for the tests of this folder."""

from tests.fixtures.console.people import console, operator

__all__ = ["console", "operator"]
