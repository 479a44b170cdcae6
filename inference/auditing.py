"""Which tables leave a trace when a person changes them."""

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
"""What changes all the time, by nobody's hand."""


def register() -> None:
    """Called once, when the console starts; the gateway changes nothing that is audited."""
    auditlog.register(ModelRoute)
    auditlog.register(RouteTarget)
    auditlog.register(ModelPool)
    auditlog.register(ModelEndpoint, exclude_fields=["credential", *MEASURED])
    auditlog.register(JoinToken, exclude_fields=["digest", "pepper", "last_used_at"])
    auditlog.register(ScalingPolicy)
    auditlog.register(ScalingSignal)
    auditlog.register(ScalingSchedule)
