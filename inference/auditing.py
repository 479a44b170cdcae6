"""Registration of the models whose changes are audited."""

from auditlog.registry import auditlog

from inference.models import (
    JoinToken,
    ModelEndpoint,
    ModelPool,
    ModelRoute,
    RouteTarget,
    ScalingPolicy,
    ScalingSchedule,
    ScalingSignal,
)

MEASURED = (
    *("heartbeat_at", "running", "waiting", "kv_cache_used", "ready_since", "machine"),
    *("probed_at", "probe_note", "probe_streak", "next_probe_at", "next_completion_at"),
)
"""Fields with frequent automatic updates, which are not audited."""


def register() -> None:
    """Register the models at the start of the console. The gateway changes none of them."""
    auditlog.register(ModelRoute)
    auditlog.register(RouteTarget)
    auditlog.register(ModelPool)
    auditlog.register(ModelEndpoint, exclude_fields=["credential", *MEASURED])
    auditlog.register(JoinToken, exclude_fields=["digest", "pepper", "last_used_at"])
    auditlog.register(ScalingPolicy)
    auditlog.register(ScalingSignal)
    auditlog.register(ScalingSchedule)
