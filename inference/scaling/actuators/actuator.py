"""The interface of actuators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The pool to scale, with the settings of its actuator."""

    pool_id: int
    pool: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    least_loaded: Sequence[str] = ()
    """Addresses of its ready endpoints, the least loaded first."""


class Actuator(Protocol):
    """Reads and changes the number of replicas."""

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise PolicyRefused for invalid settings."""

    def read(self, order: Order) -> int | None:
        """Return the current target of replicas; None: the number of endpoints counts.

        Raises ActuatorFailed.
        """

    def scale(self, order: Order, *, before: int, after: int) -> str:
        """Set the target of replicas and return a message for operators. Raises ActuatorFailed.

        Idempotent. Returns before the replicas are ready.
        """
