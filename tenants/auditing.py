"""The tables whose changes are recorded in the audit log, and their excluded fields."""

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
    """Register the tables. Called once, when the console starts."""
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


def set_actor(user: User) -> None:
    """Set the actor of the running request.

    Auditlog's middleware runs before the management API has authenticated the user.
    """
    auditlog_value.get({})["actor"] = user
