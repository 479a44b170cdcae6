"""Limits of one tenant, which override or extend those of its plan."""

from django.core.exceptions import ValidationError
from django.db import models

from tenants.models.limit_rules import Per, QuotaLimitRule, RateLimitRule
from tenants.scoping import TenantManager, TenantOwned


class OwnLimit(TenantOwned):
    """A limit of a tenant, or of one of its keys or members."""

    api_key = models.ForeignKey(
        "tenants.ApiKey",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="API key",
        help_text="Only this key. Empty: every key.",
    )
    member = models.ForeignKey(
        "tenants.Membership",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Only this member. Empty: every member.",
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Raise ValidationError for a key or member of another tenant, or of another `per`."""
        super().clean()
        for name, owner, kind in (
            ("api_key", self.api_key, Per.KEY),
            ("member", self.member, Per.MEMBER),
        ):
            if owner is None:
                continue
            if owner.tenant_id != self.tenant_id:
                raise ValidationError({name: f"The {kind} belongs to another tenant."})
            if getattr(self, "per", kind) != kind:
                raise ValidationError({name: f"A limit for one {kind} must count per {kind}."})


class RateLimit(RateLimitRule, OwnLimit):
    """A rate limit of a tenant, its keys or its members."""

    objects = TenantManager["RateLimit"]()

    class Meta:
        ordering = ("per", "route", "request_kind", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "per", "route", "request_kind", "shadow", "api_key", "member"),
                nulls_distinct=False,
                name="rate_limit_once",
                violation_error_message="There is a rate limit for the same requests already.",
            ),
        )

    def __str__(self) -> str:
        return f"rate limit per {self.per}"


class Quota(QuotaLimitRule, OwnLimit):
    """A quota of a tenant, its keys or its members."""

    objects = TenantManager["Quota"]()

    class Meta:
        ordering = ("per", "route", "request_kind", "unit", "period", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=(
                    *("tenant", "per", "route", "request_kind", "shadow"),
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
