"""Which tables leave a trace when a person changes them."""

from auditlog.registry import auditlog

from inference.models import JoinToken, ModelEndpoint, ModelPool, ModelRoute


def register() -> None:
    """Called once, when the console starts; the gateway changes nothing that is audited."""
    auditlog.register(ModelRoute)
    auditlog.register(ModelPool)
    auditlog.register(
        ModelEndpoint, exclude_fields=["credential", "heartbeat_at", "running", "waiting"]
    )
    auditlog.register(JoinToken, exclude_fields=["digest", "pepper", "last_used_at"])
