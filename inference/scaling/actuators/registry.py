"""The actuators by name."""

from collections.abc import Mapping

from inference.scaling.actuators.actuator import Actuator
from inference.scaling.actuators.none import Nobody

ACTUATORS: Mapping[str, Actuator] = {"none": Nobody()}
"""As `ScalingPolicy.actuator` calls them."""
