"""Hourly roll-ups of the ledger, so that no page has to sum up the ledger itself."""

from django.db import models

from tenants.scoping import CountedOwnedWithoutIndex, TenantManager


class UsageHour(CountedOwnedWithoutIndex):
    """Sums of the requests that began in one hour (UTC). 0 and empty stand for none."""

    hour = models.DateTimeField()
    api_key_id = models.BigIntegerField(default=0)
    member_id = models.BigIntegerField(default=0)
    agent = models.CharField(max_length=50, blank=True)
    route = models.CharField(max_length=100)
    door = models.CharField(max_length=30)
    requests = models.BigIntegerField(default=0, help_text="Without corrections.")
    failed = models.BigIntegerField(default=0)
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    cost_micro = models.BigIntegerField(default=0)

    objects = TenantManager["UsageHour"]()

    class Meta:
        ordering = ("-hour",)
        verbose_name = "hour of usage"
        verbose_name_plural = "usage"
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "hour", "api_key_id", "member_id", "agent", "route", "door"),
                name="usage_hour_once",
            ),
        )
        indexes = (models.Index(fields=("hour",), name="usage_hour_by_hour"),)

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:%M} {self.route}"
