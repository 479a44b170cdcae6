"""Pages about the console itself. Django imports this module to find them."""

from config.console.audit_admin import AuditAdmin

__all__ = ["AuditAdmin"]
