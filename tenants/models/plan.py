"""Plans: bundles of limits that many tenants share."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from tenants.models.limit_rules import QuotaLimitRule, RateLimitRule


class Plan(models.Model):
    """A bundle of limits. A tenant's own limits take precedence."""

    name = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    default_max_completion_tokens = models.PositiveIntegerField(
        default=4096,
        validators=[MinValueValidator(1), MaxValueValidator(10_000_000)],
        help_text="Maximum completion tokens of requests that set none, if a quota counts tokens.",
    )
    weight = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="Relative share of busy engines for the tenants of this plan.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class PlanRateLimit(RateLimitRule):
    """A rate limit of every tenant on a plan."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="rate_limits")

    class Meta:
        verbose_name = "rate limit of a plan"
        verbose_name_plural = "rate limits of plans"
        ordering = ("per", "route", "request_kind")
        constraints = (
            models.UniqueConstraint(
                fields=("plan", "per", "route", "request_kind", "shadow"),
                name="plan_rate_limit_once",
                violation_error_message="This plan has a rate limit for the same requests already.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.plan}: rate limit per {self.per}"


class PlanQuota(QuotaLimitRule):
    """A quota of every tenant on a plan."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="quotas")

    class Meta:
        verbose_name = "quota of a plan"
        verbose_name_plural = "quotas of plans"
        ordering = ("per", "route", "request_kind", "unit", "period")
        constraints = (
            models.UniqueConstraint(
                fields=("plan", "per", "route", "request_kind", "shadow", "unit", "period"),
                name="plan_quota_once",
                violation_error_message=(
                    "This plan has a quota of this unit and period for the same requests already."
                ),
            ),
        )

    def __str__(self) -> str:
        return f"{self.plan}: {self.limit} {self.unit} per {self.period} and {self.per}"
