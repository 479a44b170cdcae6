"""Fields of rate limits and quotas, in plans and of single tenants."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from kernel.time_zones import is_time_zone

POSITIVE = (MinValueValidator(1),)
MAX_AMOUNT = 1_000_000_000_000_000
"""Numbers in Redis' scripts are exact up to 2^53, about 9 times this maximum."""


def validate_time_zone(name: str) -> None:
    if not is_time_zone(name):
        raise ValidationError(f"{name} is not a time zone. Examples: Europe/Berlin, UTC.")


class RequestKind(models.TextChoices):
    """Kinds of requests that a limit can select; the values are scopes of API keys."""

    ANY = "", "All requests"
    CHAT = "chat", "Chat"
    EMBEDDINGS = "embeddings", "Embeddings"


class Per(models.TextChoices):
    """The owner of a counter."""

    TENANT = "tenant", "Tenant: all requests together"
    KEY = "key", "Key: each API key by itself"
    MEMBER = "member", "Member: each member by itself"


def default_thresholds() -> list[int]:
    return [80, 100]


class LimitRule(models.Model):
    """The owner and the filters of a limit."""

    per = models.CharField(
        "counts",
        max_length=10,
        choices=Per,
        default=Per.TENANT,
        help_text="Owner of each counter.",
    )
    route = models.CharField(
        max_length=100, blank=True, help_text="Only this model route. Empty: all routes together."
    )
    request_kind = models.CharField(
        max_length=20, blank=True, choices=RequestKind, default=RequestKind.ANY
    )
    shadow = models.BooleanField(
        "shadow mode",
        default=False,
        help_text="Counts and reports without refusing. Does not override enforced limits.",
    )

    class Meta:
        abstract = True


class RateLimitRule(LimitRule):
    """A rate limit. Empty fields are unlimited."""

    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=(*POSITIVE, MaxValueValidator(10_000_000))
    )
    request_burst = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=(*POSITIVE, MaxValueValidator(10_000_000)),
        help_text="Maximum requests at once. Empty: requests per minute.",
    )
    tokens_per_minute = models.PositiveBigIntegerField(
        null=True, blank=True, validators=(*POSITIVE, MaxValueValidator(10_000_000_000))
    )
    token_burst = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        validators=(*POSITIVE, MaxValueValidator(10_000_000_000)),
        help_text="Maximum tokens at once. Empty: tokens per minute.",
    )
    concurrency = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=(*POSITIVE, MaxValueValidator(1_000_000)),
        help_text="Maximum requests that run at the same time.",
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Raise ValidationError for a limit without any value, or a burst without a rate."""
        super().clean()
        if not (self.requests_per_minute or self.tokens_per_minute or self.concurrency):
            raise ValidationError("Set requests per minute, tokens per minute or concurrency.")
        for burst, rate in (
            ("request_burst", "requests_per_minute"),
            ("token_burst", "tokens_per_minute"),
        ):
            if getattr(self, burst) and not getattr(self, rate):
                name = rate.replace("_", " ")
                raise ValidationError(
                    {burst: f"A burst needs {name}. Set them, or leave the burst empty."}
                )


class QuotaLimitRule(LimitRule):
    """A quota for each window."""

    class Unit(models.TextChoices):
        TOKENS = "tokens", "Tokens"
        REQUESTS = "requests", "Requests"
        COST = "cost", "Cost (in the currency of the prices)"

    class Period(models.TextChoices):
        HOUR = "hour", "Hour"
        DAY = "day", "Day"
        WEEK = "week", "ISO week (from Monday)"
        MONTH = "month", "Month"
        QUARTER = "quarter", "Quarter"
        DAYS = "days", "Every N days from a date"
        MONTHS = "months", "Every N months from a date"

    class Hold(models.TextChoices):
        FULL = "full", "Full: reserves the maximum completion, never exceeds"
        EXTEND = "extend", "Extend: reserves a typical completion and more as it grows"

    class Outage(models.TextChoices):
        OPEN_CAPPED = "open_capped", "Open: admit requests up to the outage cap"
        CLOSED = "closed", "Closed: refuse requests with 503"

    unit = models.CharField(max_length=10, choices=Unit, default=Unit.TOKENS)
    limit = models.PositiveBigIntegerField(
        validators=(*POSITIVE, MaxValueValidator(MAX_AMOUNT)),
        help_text="Maximum usage in each window, in the unit.",
    )
    period = models.CharField("resets every", max_length=10, choices=Period, default=Period.MONTH)
    every = models.PositiveSmallIntegerField(
        "number of days or months", default=1, validators=(*POSITIVE, MaxValueValidator(366))
    )
    anchor = models.DateField(
        "counted from", null=True, blank=True, help_text="First day of an anchored period."
    )
    start_hour = models.PositiveSmallIntegerField(
        "begins at",
        default=0,
        validators=[MaxValueValidator(23)],
        help_text="Hour of the day, 0 to 23.",
    )
    time_zone = models.CharField(
        max_length=50,
        blank=True,
        validators=[validate_time_zone],
        help_text="IANA name. Empty: the tenant's.",
    )
    hard = models.BooleanField(
        default=True, help_text="Refuse requests that exceed the quota. Otherwise only warn."
    )
    alert_at = ArrayField(
        models.PositiveSmallIntegerField(validators=(*POSITIVE, MaxValueValidator(1000))),
        default=default_thresholds,
        blank=True,
        verbose_name="alert at (%)",
        help_text="Percent of the limit, comma-separated.",
    )
    hold = models.CharField(max_length=10, choices=Hold, default=Hold.FULL)
    on_redis_outage = models.CharField(
        "when Redis is unavailable", max_length=12, choices=Outage, default=Outage.OPEN_CAPPED
    )
    outage_cap = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_AMOUNT)],
        help_text="Maximum usage while Redis is unavailable. Empty: 10 % of the limit; 0: none.",
    )
    roll_over = models.PositiveSmallIntegerField(
        "rolls over (%)",
        default=0,
        validators=[MaxValueValidator(100)],
        help_text="Maximum unused share of the limit that is added to the next window.",
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Raise ValidationError for a missing anchor, or one that the period does not use."""
        super().clean()
        anchored = self.period in {self.Period.DAYS, self.Period.MONTHS}
        if anchored and self.anchor is None:
            raise ValidationError({"anchor": "Set the day from which the periods are counted."})
        if not anchored and (self.anchor is not None or self.every != 1):
            raise ValidationError("Only periods of N days or months have a number and a first day.")
