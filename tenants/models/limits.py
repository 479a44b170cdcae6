"""Limits of one tenant: overrides of its plan, and additions to it."""

from django.core.exceptions import ValidationError
from django.db import models

from tenants.models.limit_rules import Per, QuotaRule, RateLimitRule
from tenants.scoping import TenantManager, TenantOwned


class OwnLimit(TenantOwned):
    """A limit of a tenant, or of one key or member of it."""

    api_key = models.ForeignKey(
        "tenants.ApiKey",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="API key",
        help_text="Only this key. Empty: every key alike.",
    )
    member = models.ForeignKey(
        "tenants.Membership",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Only this member. Empty: every member alike.",
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Raises ValidationError for a key or member that does not fit."""
        super().clean()
        for name, owner, kind in (
            ("api_key", self.api_key, Per.KEY),
            ("member", self.member, Per.MEMBER),
        ):
            if owner is None:
                continue
            if owner.tenant_id != self.tenant_id:
                raise ValidationError({name: "This belongs to another tenant."})
            if getattr(self, "per", kind) != kind:
                raise ValidationError({name: f"A limit for one {kind} counts per {kind}."})


class RateLimit(RateLimitRule, OwnLimit):
    """How fast a tenant, its keys or its members may ask."""

    objects = TenantManager["RateLimit"]()

    class Meta:
        ordering = ("per", "route", "door", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "per", "route", "door", "shadow", "api_key", "member"),
                nulls_distinct=False,
                name="rate_limit_once",
                violation_error_message="There is a rate limit for the same requests already.",
            ),
        )

    def __str__(self) -> str:
        return f"rate limit per {self.per}"


class Quota(QuotaRule, OwnLimit):
    """How much a tenant, its keys or its members may use in each window."""

    objects = TenantManager["Quota"]()

    class Meta:
        ordering = ("per", "route", "door", "unit", "period", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=(
                    *("tenant", "per", "route", "door", "shadow"),
                    *("unit", "period", "api_key", "member"),
                ),
                nulls_distinct=False,
                name="quota_once",
                violation_error_message=(
                    "There is a quota of this unit and period for the same requests already."
                ),
            ),
        )

    def __str__(self) -> str:
        return f"{self.limit} {self.unit} per {self.period} and {self.per}"
