"""The actuator of pools that operators scale by hand."""

from collections.abc import Mapping
from typing import Any

from inference.errors import ActuatorFailed
from inference.scaling.actuators.actuator import Order


class NullActuator:
    """Changes nothing."""

    def check(self, settings: Mapping[str, Any]) -> None:
        """Accept any settings: they are not used."""

    def read(self, order: Order) -> int | None:
        return None

    def scale(self, order: Order, *, before: int, after: int) -> str:
        raise ActuatorFailed("This pool has no actuator: choose one in its policy.")
