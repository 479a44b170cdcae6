"""The tables of this context."""

from tenants.models.api_key import ApiKey
from tenants.models.membership import Membership, User
from tenants.models.tenant import Tenant
from tenants.models.usage_event import UsageEvent

__all__ = ["ApiKey", "Membership", "Tenant", "UsageEvent", "User"]
