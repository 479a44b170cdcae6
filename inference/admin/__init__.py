"""Registers the admin classes of this context; Django imports this module."""

from inference.admin.endpoint import ModelEndpointAdmin
from inference.admin.join_token import JoinTokenAdmin
from inference.admin.pool import ModelPoolAdmin
from inference.admin.route import ModelRouteAdmin
from inference.admin.scaling_policy import ScalingPolicyAdmin

__all__ = [
    "JoinTokenAdmin",
    "ModelEndpointAdmin",
    "ModelPoolAdmin",
    "ModelRouteAdmin",
    "ScalingPolicyAdmin",
]
