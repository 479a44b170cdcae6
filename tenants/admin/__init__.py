"""The console's pages of this context. Django imports this module to find them."""

from tenants.admin.api_key import ApiKeyAdmin
from tenants.admin.membership import MembershipAdmin
from tenants.admin.tenant import TenantAdmin
from tenants.admin.usage_event import UsageEventAdmin
from tenants.admin.usage_hour import UsageHourAdmin
from tenants.admin.user import UserAdmin

__all__ = [
    "ApiKeyAdmin",
    "MembershipAdmin",
    "TenantAdmin",
    "UsageEventAdmin",
    "UsageHourAdmin",
    "UserAdmin",
]
