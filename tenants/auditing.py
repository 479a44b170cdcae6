"""Which tables leave a trace when a person changes them, and which of their fields never do."""

from auditlog.context import auditlog_value
from auditlog.registry import auditlog

from tenants.models import (
    AlertRecipient,
    ApiKey,
    Invitation,
    Membership,
    Plan,
    PlanQuota,
    PlanRateLimit,
    Quota,
    QuotaTopUp,
    RateLimit,
    Tenant,
    User,
)


def register() -> None:
    """Called once, when the console starts; the gateway changes nothing that is audited."""
    auditlog.register(Tenant)
    auditlog.register(Membership)
    auditlog.register(Invitation, exclude_fields=["user", "declined_at"])
    auditlog.register(User, exclude_fields=["password", "last_login"])
    auditlog.register(
        ApiKey,
        exclude_fields=[
            *("digest", "pepper", "bounds", "last_used_at", "warned_of", "noted_expiry"),
        ],
    )
    auditlog.register(
        AlertRecipient,
        exclude_fields=["secret", "last_delivered_at", "last_error"],
        mask_fields=["address"],
        mask_callable="tenants.models.alert_recipient.without_token",
    )
    for model in (Plan, PlanRateLimit, PlanQuota, RateLimit, Quota, QuotaTopUp):
        auditlog.register(model)


def name_actor(user: User) -> None:
    """Say who acts in the running request, when that is known later than auditlog asks.

    Its middleware asks before the management API has read the token.
    """
    auditlog_value.get({})["actor"] = user
