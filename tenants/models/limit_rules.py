"""What a rate limit and a quota say, wherever they are written: in a plan or for one tenant."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from kernel.time_zones import is_time_zone

POSITIVE = (MinValueValidator(1),)
MAX_AMOUNT = 1_000_000_000_000_000
"""Numbers in Redis' scripts are exact below 2^53, about 9 times this."""


def validate_time_zone(name: str) -> None:
    if not is_time_zone(name):
        raise ValidationError(f"{name} is not a time zone. It looks like Europe/Berlin or UTC.")


class Door(models.TextChoices):
    """Kinds of requests that can be limited apart; the same words as the scopes of keys."""

    ANY = "", "All requests"
    CHAT = "chat", "Chat"
    EMBEDDINGS = "embeddings", "Embeddings"
    BATCHES = "batches", "Batches"


class Per(models.TextChoices):
    """Whose requests are counted together."""

    TENANT = "tenant", "Tenant: all requests together"
    KEY = "key", "Key: each API key by itself"
    MEMBER = "member", "Member: each member by itself"


def default_thresholds() -> list[int]:
    return [80, 100]


class LimitRule(models.Model):
    """Whom a limit counts, and for what."""

    per = models.CharField(
        "counts",
        max_length=10,
        choices=Per,
        default=Per.TENANT,
        help_text="What is counted together.",
    )
    route = models.CharField(
        max_length=100, blank=True, help_text="Only this model route. Empty: all together."
    )
    door = models.CharField("requests", max_length=20, blank=True, choices=Door, default=Door.ANY)
    shadow = models.BooleanField(
        "shadow mode",
        default=False,
        help_text="Counts and reports beside the limits that are enforced. Refuses nothing, and "
        "takes the place of none of them.",
    )

    class Meta:
        abstract = True


class RateLimitRule(LimitRule):
    """How fast. What is empty is unlimited."""

    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=(*POSITIVE, MaxValueValidator(10_000_000))
    )
    request_burst = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=(*POSITIVE, MaxValueValidator(10_000_000)),
        help_text="Requests that may come at once. Empty: a whole minute's.",
    )
    tokens_per_minute = models.PositiveBigIntegerField(
        null=True, blank=True, validators=(*POSITIVE, MaxValueValidator(10_000_000_000))
    )
    token_burst = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        validators=(*POSITIVE, MaxValueValidator(10_000_000_000)),
        help_text="Tokens that may be used at once. Empty: a whole minute's.",
    )
    concurrency = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=(*POSITIVE, MaxValueValidator(1_000_000)),
        help_text="Requests that may run at the same time.",
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Raises ValidationError for a limit that limits nothing, or a burst without a rate."""
        super().clean()
        if not (self.requests_per_minute or self.tokens_per_minute or self.concurrency):
            raise ValidationError(
                "Set requests per minute, tokens per minute or concurrency; empty limits nothing."
            )
        for burst, rate in (
            ("request_burst", "requests_per_minute"),
            ("token_burst", "tokens_per_minute"),
        ):
            if getattr(self, burst) and not getattr(self, rate):
                name = rate.replace("_", " ")
                raise ValidationError(
                    {burst: f"A burst needs {name}. Set them, or leave this empty."}
                )


class QuotaRule(LimitRule):
    """How much in each window."""

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
        DAYS = "days", "Every so many days from a date"
        MONTHS = "months", "Every so many months from a date"

    class Hold(models.TextChoices):
        FULL = "full", "Full hold: reserves the longest answer, never exceeds"
        EXTEND = "extend", "Extend: reserves a typical answer and more as it grows"

    class Outage(models.TextChoices):
        OPEN_CAPPED = "open_capped", "Serve on, up to the outage cap"
        CLOSED = "closed", "Refuse (503) until it is back"

    unit = models.CharField(max_length=10, choices=Unit, default=Unit.TOKENS)
    limit = models.PositiveBigIntegerField(
        validators=(*POSITIVE, MaxValueValidator(MAX_AMOUNT)),
        help_text="In the unit, for each window.",
    )
    period = models.CharField("resets every", max_length=10, choices=Period, default=Period.MONTH)
    every = models.PositiveSmallIntegerField(
        "number of days or months", default=1, validators=(*POSITIVE, MaxValueValidator(366))
    )
    anchor = models.DateField(
        "counted from", null=True, blank=True, help_text="First day of an anchored period."
    )
    start_hour = models.PositiveSmallIntegerField(
        "begins at", default=0, validators=[MaxValueValidator(23)], help_text="O'clock, 0 to 23."
    )
    time_zone = models.CharField(
        max_length=50,
        blank=True,
        validators=[validate_time_zone],
        help_text="IANA name. Empty: the tenant's.",
    )
    hard = models.BooleanField(
        default=True, help_text="Refuse what exceeds it. Otherwise only warn."
    )
    alert_at = ArrayField(
        models.PositiveSmallIntegerField(validators=(*POSITIVE, MaxValueValidator(1000))),
        default=default_thresholds,
        blank=True,
        verbose_name="alert at (%)",
        help_text="Percent of the limit, comma-separated.",
    )
    hold = models.CharField(max_length=10, choices=Hold, default=Hold.FULL)
    when_redis_is_away = models.CharField(
        "when Redis is away", max_length=12, choices=Outage, default=Outage.OPEN_CAPPED
    )
    outage_cap = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_AMOUNT)],
        help_text="The most that is served while Redis is away. Empty: a tenth of the limit; 0: "
        "nothing.",
    )
    roll_over = models.PositiveSmallIntegerField(
        "rolls over (%)",
        default=0,
        validators=[MaxValueValidator(100)],
        help_text="At most this share of the limit is carried into the next window, if unused.",
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Raises ValidationError for an anchor that is missing, or not meant."""
        super().clean()
        anchored = self.period in {self.Period.DAYS, self.Period.MONTHS}
        if anchored and self.anchor is None:
            raise ValidationError({"anchor": "Say from which day the days or months are counted."})
        if not anchored and (self.anchor is not None or self.every != 1):
            raise ValidationError(
                "Only periods of so many days or months have a number and a first day."
            )
