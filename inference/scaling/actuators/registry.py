"""The actuators by name."""

from collections.abc import Mapping

from inference.scaling.actuators.actuator import Actuator
from inference.scaling.actuators.hpa import Autoscaler
from inference.scaling.actuators.kubernetes import Kubernetes
from inference.scaling.actuators.none import NullActuator
from inference.scaling.actuators.process import Processes

ACTUATORS: Mapping[str, Actuator] = {
    "none": NullActuator(),
    "process": Processes(),
    "kubernetes": Kubernetes(),
    "hpa": Autoscaler(),
}
"""Actuators by the value of `ScalingPolicy.actuator`."""
