"""A request's place among those that a pool works on."""

from collections.abc import Callable

from inference.fleet.fairness import TenantServiceCounter, cost_of

GiveBack = Callable[["PoolSlot"], None]
Correct = Callable[["PoolSlot", int], None]


class PoolSlot:
    """Given back once, and told once what it cost, however often anybody says so."""

    __slots__ = (
        "_correct",
        "_give_back",
        "_is_corrected",
        "_is_held",
        "account",
        "priority",
        "share",
        "since",
    )

    def __init__(
        self,
        account: TenantServiceCounter,
        *,
        share: float,
        priority: int,
        since: float,
        give_back: GiveBack,
        correct: Correct,
    ) -> None:
        """`share` is what its tenant was charged; `since` is the event loop's time."""
        self.account = account
        self.share = share
        self.priority = priority
        """When it would be its turn if the engine had a queue of its own; least first."""
        self.since = since
        self._give_back = give_back
        self._correct = correct
        self._is_held = True
        self._is_corrected = False

    def give_back(self) -> None:
        """The engine does not work on it any more."""
        if self._is_held:
            self._is_held = False
            self._give_back(self)

    def used(self, *, prompt_tokens: int, completion_tokens: int) -> None:
        """Correct its cost. Gives the slot back, if that was not done."""
        self.give_back()
        if not self._is_corrected:
            self._is_corrected = True
            cost = cost_of(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
            self._correct(self, cost)
