"""A model route: the public name of a model, and the pool that serves it."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

PUBLIC_NAME = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
    "Use letters, digits and . _ : / - only, beginning with a letter or digit.",
)

MAX_PRICE = 400_000_000
"""At this price a hold for ten million tokens is still exact in Redis' scripts."""
PRICE = (MaxValueValidator(MAX_PRICE),)
PRICE_UNIT = "Millionths of the currency unit per million tokens: 150000 is 0.15 per million."


class RouteTarget(models.Model):
    """A further pool of a route: one that shares its requests, or a fallback."""

    class Role(models.TextChoices):
        SHARE = "share", "Share: gets a share of the requests"
        FALLBACK = "fallback", "Fallback: gets requests that no other pool can serve"

    route = models.ForeignKey(
        "inference.ModelRoute", on_delete=models.CASCADE, related_name="targets"
    )
    pool = models.ForeignKey("inference.ModelPool", on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=10, choices=Role, default=Role.FALLBACK)
    weight = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="For a share: its weight, relative to the route's own pool and the other shares.",
    )
    order = models.PositiveSmallIntegerField(
        default=0, help_text="For a fallback: the lowest is tried first."
    )

    class Meta:
        ordering = ("role", "order", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=("route", "pool"),
                name="route_target_once",
                violation_error_message="This route has that pool already.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.role} {self.pool}"


class ModelRoute(models.Model):
    """A name that tenants send as `model`."""

    class Purpose(models.TextChoices):
        CHAT = "chat", "Chat"
        EMBEDDINGS = "embeddings", "Embeddings"

    name = models.CharField(max_length=100, unique=True, validators=[PUBLIC_NAME])
    pool = models.ForeignKey("inference.ModelPool", on_delete=models.PROTECT, related_name="routes")
    pool_weight = models.PositiveSmallIntegerField(
        "weight of the route's own pool",
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="Relative to the weights of the pools that share its requests.",
    )
    purpose = models.CharField(max_length=10, choices=Purpose, default=Purpose.CHAT)
    enabled = models.BooleanField(default=True)
    context_length = models.PositiveIntegerField(
        default=8192,
        validators=[MinValueValidator(1)],
        help_text="Maximum tokens of the prompt and the completion together.",
    )
    prompt_price = models.PositiveBigIntegerField(
        "price of prompt tokens", default=0, validators=PRICE, help_text=PRICE_UNIT
    )
    cached_price = models.PositiveBigIntegerField(
        "price of cached prompt tokens", default=0, validators=PRICE, help_text=PRICE_UNIT
    )
    completion_price = models.PositiveBigIntegerField(
        "price of completion tokens", default=0, validators=PRICE, help_text=PRICE_UNIT
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raise ValidationError if cached tokens cost more than the hold reserves for them."""
        if self.cached_price > self.prompt_price:
            raise ValidationError(
                {"cached_price": "Cached tokens may not cost more than other prompt tokens."}
            )
