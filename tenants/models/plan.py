"""Plans: bundles of limits that many tenants share."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from tenants.models.limit_rules import QuotaRule, RateLimitRule


class Plan(models.Model):
    """A bundle of limits. What a tenant sets itself takes precedence."""

    name = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    longest_answer = models.PositiveIntegerField(
        default=4096,
        validators=[MinValueValidator(1), MaxValueValidator(10_000_000)],
        help_text="Tokens of an answer whose request names no limit, where a quota counts them.",
    )
    weight = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="Its tenants' share of busy engines, beside those of other plans.",
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
        ordering = ("per", "route", "door")
        constraints = (
            models.UniqueConstraint(
                fields=("plan", "per", "route", "door", "shadow"),
                name="plan_rate_limit_once",
                violation_error_message="This plan has a rate limit for the same requests already.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.plan}: rate limit per {self.per}"


class PlanQuota(QuotaRule):
    """A quota of every tenant on a plan."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="quotas")

    class Meta:
        verbose_name = "quota of a plan"
        verbose_name_plural = "quotas of plans"
        ordering = ("per", "route", "door", "unit", "period")
        constraints = (
            models.UniqueConstraint(
                fields=("plan", "per", "route", "door", "shadow", "unit", "period"),
                name="plan_quota_once",
                violation_error_message=(
                    "This plan has a quota of this unit and period for the same requests already."
                ),
            ),
        )

    def __str__(self) -> str:
        return f"{self.plan}: {self.limit} {self.unit} per {self.period} and {self.per}"
