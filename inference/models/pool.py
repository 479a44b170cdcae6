"""A model pool: endpoints that are interchangeable."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


class Engine(models.TextChoices):
    """What serves the model behind an endpoint."""

    VLLM = "vllm", "vLLM"
    LLAMACPP = "llamacpp", "llama.cpp"
    OPENAI = "openai", "Another OpenAI-compatible server"


TIMEOUT = (MinValueValidator(0.1), MaxValueValidator(3600))


class ModelPool(models.Model):
    """Endpoints that serve the same model and can stand in for each other."""

    name = models.SlugField(max_length=100, unique=True)
    engine = models.CharField(max_length=10, choices=Engine, default=Engine.VLLM)
    connect_timeout = models.FloatField(
        default=5, validators=TIMEOUT, help_text="Seconds to wait for a connection."
    )
    first_token_timeout = models.FloatField(
        default=120,
        validators=TIMEOUT,
        help_text="Seconds to wait for the first token, or for an answer that is not streamed.",
    )
    token_timeout = models.FloatField(
        default=60, validators=TIMEOUT, help_text="Seconds to wait between two tokens."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
