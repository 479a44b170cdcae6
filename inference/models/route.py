"""A model route: the public name of a model, and the pool that serves it."""

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models

PUBLIC_NAME = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
    "Use letters, digits and . _ : / - only, beginning with a letter or digit.",
)


class ModelRoute(models.Model):
    """What tenants write as `model`."""

    class Purpose(models.TextChoices):
        CHAT = "chat", "Chat"
        EMBEDDINGS = "embeddings", "Embeddings"

    name = models.CharField(max_length=100, unique=True, validators=[PUBLIC_NAME])
    pool = models.ForeignKey("inference.ModelPool", on_delete=models.PROTECT, related_name="routes")
    purpose = models.CharField(max_length=10, choices=Purpose, default=Purpose.CHAT)
    enabled = models.BooleanField(default=True)
    context_length = models.PositiveIntegerField(
        default=8192,
        validators=[MinValueValidator(1)],
        help_text="Tokens of prompt and answer together.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
