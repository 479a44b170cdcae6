"""The console's pages of this context. Django imports this module to find them."""

from tenants.admin.alert_recipient import AlertRecipientAdmin
from tenants.admin.api_key import ApiKeyAdmin
from tenants.admin.limits.own_limits import QuotaAdmin, RateLimitAdmin
from tenants.admin.limits.quota_history import QuotaAlertAdmin, QuotaTopUpAdmin, QuotaWindowAdmin
from tenants.admin.membership import MembershipAdmin
from tenants.admin.plan import PlanAdmin
from tenants.admin.tenant import TenantAdmin
from tenants.admin.usage_event import UsageEventAdmin
from tenants.admin.usage_hour import UsageHourAdmin
from tenants.admin.user import UserAdmin

__all__ = [
    "AlertRecipientAdmin",
    "ApiKeyAdmin",
    "MembershipAdmin",
    "PlanAdmin",
    "QuotaAdmin",
    "QuotaAlertAdmin",
    "QuotaTopUpAdmin",
    "QuotaWindowAdmin",
    "RateLimitAdmin",
    "TenantAdmin",
    "UsageEventAdmin",
    "UsageHourAdmin",
    "UserAdmin",
]
