"""What the counters say when they cannot decide. The gate knows what to do; no client sees these.

* Overloaded
  x CountersAway  Redis does not answer, or answers with an error
* Conflict
  x WindowMoved   a quota window ended between the checks and the decision
"""

from kernel.errors import Conflict, Overloaded


class CountersAway(Overloaded):
    """The counters of limits cannot be reached right now. Try again shortly."""

    code = "counters_away"


class WindowMoved(Conflict):
    """A quota window has just ended. Try again."""

    code = "window_moved"

    def __init__(self, now: float = 0.0) -> None:
        """`now` is Redis' time in seconds since 1970: the checks must be made for that."""
        super().__init__()
        self.now = now
