"""Which tables leave a trace when a person changes them, and which of their fields never do."""

from auditlog.registry import auditlog

from tenants.models import ApiKey, Membership, Tenant, User


def register() -> None:
    """Called once, when the console starts; the gateway changes nothing that is audited."""
    auditlog.register(Tenant)
    auditlog.register(Membership)
    auditlog.register(User, exclude_fields=["password", "last_login"])
    auditlog.register(ApiKey, exclude_fields=["digest", "pepper", "last_used_at"])
