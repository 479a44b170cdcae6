"""Which tables leave a trace when a person changes them."""

from auditlog.registry import auditlog

from inference.models import JoinToken, ModelEndpoint, ModelPool, ModelRoute, RouteTarget


def register() -> None:
    """Called once, when the console starts; the gateway changes nothing that is audited."""
    auditlog.register(ModelRoute)
    auditlog.register(RouteTarget)
    auditlog.register(ModelPool)
    told = ["heartbeat_at", "running", "waiting", "kv_cache_used", "ready_since"]
    auditlog.register(ModelEndpoint, exclude_fields=["credential", *told])
    auditlog.register(JoinToken, exclude_fields=["digest", "pepper", "last_used_at"])
