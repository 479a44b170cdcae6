"""The tables of this context. They belong to the operator, not to a tenant."""

from inference.models.endpoint import ModelEndpoint
from inference.models.join_token import JoinToken
from inference.models.pool import ModelPool
from inference.models.route import ModelRoute, RouteTarget
from inference.models.scaling_policy import ScalingPolicy, ScalingSchedule, ScalingSignal
from inference.models.scaling_record import PoolSample, ScalingDecision, ScalingState

__all__ = [
    "JoinToken",
    "ModelEndpoint",
    "ModelPool",
    "ModelRoute",
    "PoolSample",
    "RouteTarget",
    "ScalingDecision",
    "ScalingPolicy",
    "ScalingSchedule",
    "ScalingSignal",
    "ScalingState",
]
