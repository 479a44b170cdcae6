"""No actuator: people follow the recommendations."""

from inference.errors import ActuatorFailed
from inference.models import ScalingPolicy
from inference.scaling.actuators.actuator import Order


class Nobody:
    """Changes nothing."""

    def check(self, policy: ScalingPolicy) -> None:
        """Whatever the settings are, nobody reads them."""

    def read(self, order: Order) -> int | None:
        return None

    def scale(self, order: Order, *, before: int, after: int) -> str:
        raise ActuatorFailed("This pool has no actuator: choose one in its policy.")
