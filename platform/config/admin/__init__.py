"""Pages about the console itself. Django imports this module to find them."""

from config.admin.audit import AuditAdmin

__all__ = ["AuditAdmin"]
