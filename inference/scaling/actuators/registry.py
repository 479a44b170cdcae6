"""The actuators by name."""

from collections.abc import Mapping

from inference.scaling.actuators.actuator import Actuator
from inference.scaling.actuators.none import Nobody
from inference.scaling.actuators.process import Processes

ACTUATORS: Mapping[str, Actuator] = {"none": Nobody(), "process": Processes()}
"""As `ScalingPolicy.actuator` calls them."""
