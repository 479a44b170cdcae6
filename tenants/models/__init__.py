"""The tables of this context."""

from tenants.models.alert_recipient import AlertRecipient
from tenants.models.api_key import ApiKey
from tenants.models.limits import Quota, RateLimit
from tenants.models.membership import Invitation, Membership, User
from tenants.models.notice import Notice
from tenants.models.plan import Plan, PlanQuota, PlanRateLimit
from tenants.models.quota_usage import QuotaAlert, QuotaTopUp, QuotaUsage, QuotaWindow
from tenants.models.tenant import Tenant
from tenants.models.timed_work import ChargedSum, LedgerCheckpoint, TenantLook
from tenants.models.usage_event import UsageEvent
from tenants.models.usage_hour import UsageHour

__all__ = [
    "AlertRecipient",
    "ApiKey",
    "ChargedSum",
    "Invitation",
    "LedgerCheckpoint",
    "Membership",
    "Notice",
    "Plan",
    "PlanQuota",
    "PlanRateLimit",
    "Quota",
    "QuotaAlert",
    "QuotaTopUp",
    "QuotaUsage",
    "QuotaWindow",
    "RateLimit",
    "Tenant",
    "TenantLook",
    "UsageEvent",
    "UsageHour",
    "User",
]
