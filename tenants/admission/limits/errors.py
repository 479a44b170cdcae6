"""Errors of counters that cannot decide. The gate handles them; no client gets them.

* Overloaded
  x CountersUnavailable  Redis is unavailable or responds with an error
* Conflict
  x WindowMoved          a quota window ended between the checks and the decision
"""

from kernel.errors import Conflict, Overloaded


class CountersUnavailable(Overloaded):
    """The counters of limits cannot be reached right now. Try again shortly."""

    code = "counters_away"


class WindowMoved(Conflict):
    """A quota window has just ended. Try again."""

    code = "window_moved"

    def __init__(self, now: float = 0.0) -> None:
        """`now` is Redis' time in seconds since 1970, for which the checks must be computed."""
        super().__init__()
        self.now = now
