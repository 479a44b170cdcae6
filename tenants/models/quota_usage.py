"""Counters and windows of quotas: the source of truth; Redis has a copy."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from tenants.models.limit_rules import MAX_AMOUNT
from tenants.scoping import CountedOwned, CountedOwnedWithoutIndex, TenantManager
from tenants.windows import Window


class QuotaUsage(CountedOwnedWithoutIndex):
    """One counter in one window. Written only in the transaction of ledger rows or a top-up."""

    counter = models.CharField(max_length=300)
    window = models.CharField(max_length=40, help_text="Start and end in seconds since 1970.")
    ends_at = models.DateTimeField()
    used = models.BigIntegerField(default=0)
    granted = models.BigIntegerField(default=0, help_text="Top-ups and roll-over.")
    carried = models.BigIntegerField(
        db_default=0,
        help_text="Part of `used` from before the quota existed, a sum of full hours.",
    )
    version = models.BigIntegerField(default=0)

    objects = TenantManager["QuotaUsage"]()

    class Meta:
        ordering = ("counter", "window")
        constraints = (
            # The window comes first, because pages query all counters of one window.
            models.UniqueConstraint(
                fields=("tenant", "window", "counter"), name="quota_usage_of_window_once"
            ),
        )
        indexes = (models.Index(fields=("ends_at",), name="quota_usage_by_end"),)

    def __str__(self) -> str:
        return f"{self.counter} {self.window}: {self.used}"


class QuotaWindowQuerySet(models.QuerySet["QuotaWindow"]):
    def close(self, *, window_id: int, now: object) -> bool:
        """Close an ended window. Return False if another process has closed it."""
        due = self.filter(pk=window_id, closed_at=None, ends_at__lte=now)
        return due.update(closed_at=now) == 1


QuotaWindowManager = TenantManager.from_queryset(QuotaWindowQuerySet)


class QuotaWindow(CountedOwned):
    """A window of a quota. While it is open its end is fixed; a closed window is history."""

    slot = models.CharField(max_length=300)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    time_zone = models.CharField(max_length=50)
    limit = models.BigIntegerField()
    used = models.BigIntegerField(
        default=0, help_text="Sum of all counters when the window was closed."
    )
    closed_at = models.DateTimeField(null=True)
    rolled_over_at = models.DateTimeField(
        null=True, help_text="Time of the roll-over into the next window."
    )

    objects = QuotaWindowManager()

    class Meta:
        ordering = ("-starts_at", "slot")
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "slot", "starts_at"), name="quota_window_once"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="quota_window_has_length"
            ),
        )
        indexes = (
            models.Index(
                fields=("ends_at",), condition=Q(closed_at=None), name="quota_window_open"
            ),
            models.Index(
                fields=("tenant", "slot"), condition=Q(closed_at=None), name="quota_window_running"
            ),
            models.Index(
                fields=("ends_at",),
                condition=Q(rolled_over_at=None),
                name="quota_window_to_roll_over",
            ),
        )

    def __str__(self) -> str:
        return f"{self.slot} from {self.starts_at:%Y-%m-%d %H:%M %Z}"

    @property
    def window(self) -> Window:
        return Window(start=self.starts_at, end=self.ends_at)


class QuotaTopUp(CountedOwned):
    """A one-off addition to one counter in one window."""

    counter = models.CharField(max_length=300)
    window = models.CharField(max_length=40)
    amount = models.PositiveBigIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(MAX_AMOUNT)], help_text="In the unit."
    )
    reason = models.CharField(max_length=200)
    key = models.CharField(
        max_length=100,
        blank=True,
        help_text="Idempotency key of the client. Repeated requests with it grant once.",
    )
    granted_by = models.ForeignKey(
        "tenants.User", on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantManager["QuotaTopUp"]()

    class Meta:
        ordering = ("-created_at", "-pk")
        verbose_name = "top-up"
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "key"), condition=~Q(key=""), name="quota_top_up_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.amount} more for {self.counter}"


class QuotaAlert(CountedOwned):
    """Guard row: recipients were notified of a threshold of a counter, window and limit."""

    counter = models.CharField(max_length=300)
    window = models.CharField(max_length=40)
    threshold = models.PositiveSmallIntegerField(help_text="Percent of the limit.")
    used = models.BigIntegerField()
    limit = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantManager["QuotaAlert"]()

    class Meta:
        ordering = ("-created_at", "-pk")
        verbose_name = "alert sent"
        verbose_name_plural = "alerts sent"
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "counter", "window", "threshold", "limit"),
                name="quota_alert_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.threshold} % of {self.counter}"
