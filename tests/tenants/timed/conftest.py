"""The console's cast, for the tests of this folder."""

from tests.fixtures.console.people import acme, rival

__all__ = ["acme", "rival"]
