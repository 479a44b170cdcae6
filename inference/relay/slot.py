"""A slot of a pool: one of its running requests."""

from collections.abc import Callable

from inference.fleet.fairness import TenantServiceCounter, cost_of

Release = Callable[["PoolSlot"], None]
Correct = Callable[["PoolSlot", int], None]


class PoolSlot:
    """Released once, and corrected once; further calls have no effect."""

    __slots__ = (
        "_correct",
        "_is_corrected",
        "_is_held",
        "_release",
        "counter",
        "priority",
        "share",
        "since",
    )

    def __init__(
        self,
        counter: TenantServiceCounter,
        *,
        share: float,
        priority: int,
        since: float,
        release: Release,
        correct: Correct,
    ) -> None:
        """`share` is the charge of its tenant; `since` is the event loop's time in seconds."""
        self.counter = counter
        self.share = share
        self.priority = priority
        """Priority in the queue of the engine; the lowest is served first."""
        self.since = since
        self._release = release
        self._correct = correct
        self._is_held = True
        self._is_corrected = False

    def release(self) -> None:
        """Release the slot when the engine has ended the request."""
        if self._is_held:
            self._is_held = False
            self._release(self)

    def used(self, *, prompt_tokens: int, completion_tokens: int) -> None:
        """Replace the estimated cost by the actual cost. Releases the slot."""
        self.release()
        if not self._is_corrected:
            self._is_corrected = True
            cost = cost_of(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
            self._correct(self, cost)
