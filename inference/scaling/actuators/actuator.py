"""What every actuator can do, and what it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The replicas of one pool, as somebody else keeps them."""

    pool_id: int
    pool: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    idlest: Sequence[str] = ()
    """Addresses of its endpoints, the one with least to do first."""


class Actuator(Protocol):
    """Reads and changes how many replicas there are."""

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raises PolicyRefused for settings with which it could not work."""

    def read(self, order: Order) -> int | None:
        """How many replicas there are to be at present; None: as many as there are endpoints.

        Raises ActuatorFailed.
        """

    def scale(self, order: Order, *, before: int, after: int) -> str:
        """Have so many. What it says of it, for people. Raises ActuatorFailed.

        Safe to say twice, and returns before the replicas are there.
        """
