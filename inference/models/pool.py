"""A model pool: endpoints that are interchangeable."""

from ipaddress import ip_network

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


def validate_network(value: str) -> None:
    """Raises ValidationError for what is neither an address nor a network."""
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise ValidationError(
            f"{value} is not an address or network. It looks like 10.0.0.0/8 or fd00::/8."
        ) from None


class Engine(models.TextChoices):
    """What serves the model behind an endpoint."""

    VLLM = "vllm", "vLLM"
    LLAMACPP = "llamacpp", "llama.cpp"
    OPENAI = "openai", "Another OpenAI-compatible server"


class Strategy(models.TextChoices):
    """How the endpoint for a request is chosen; the names of `fleet.strategies`."""

    LEAST_REQUESTS = "least_requests", "Least requests"
    ROUND_ROBIN = "round_robin", "Round robin"
    WEIGHTED_ROUND_ROBIN = "weighted_round_robin", "Weighted round robin"
    RANDOM = "random", "Random"
    TWO_CHOICES = "two_choices", "Power of two choices"
    WEIGHTED_LEAST_REQUESTS = "weighted_least_requests", "Weighted least requests"
    LOWEST_LATENCY = "lowest_latency", "Lowest latency (time to first token)"
    CONSISTENT_HASH = "consistent_hash", "Consistent hash (of the conversation or the key)"
    PREFIX_AFFINITY = "prefix_affinity", "Prefix affinity (long prompts to where they are cached)"
    QUEUE_AWARE = "queue_aware", "Queue and KV cache, as the engines tell"


class ProbePath(models.TextChoices):
    """The only paths of an engine that a probe may ask."""

    HEALTH = "/health", "/health: vLLM, llama.cpp and most others"
    HEALTHZ = "/healthz", "/healthz"
    READY = "/ready", "/ready"
    READYZ = "/readyz", "/readyz"
    PING = "/ping", "/ping"
    MODELS = "/v1/models", "/v1/models: where there is nothing better"


TIMEOUT = (MinValueValidator(0.1), MaxValueValidator(3600))
TIMES = (MinValueValidator(1), MaxValueValidator(100))


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
    strategy = models.CharField(max_length=30, choices=Strategy, default=Strategy.LEAST_REQUESTS)
    max_in_flight = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Most requests that run in the pool at once. Empty: what its endpoints take.",
    )
    queue_length = models.PositiveIntegerField(
        default=200,
        validators=[MaxValueValidator(100_000)],
        help_text="Requests that may wait for a free endpoint. 0: none waits.",
    )
    queue_seconds = models.FloatField(
        default=30,
        validators=TIMEOUT,
        help_text="How long a request may wait before it is refused.",
    )
    hedge_after = models.FloatField(
        null=True,
        blank=True,
        validators=TIMEOUT,
        help_text="Seconds without a token until another endpoint is asked too. Empty: never.",
    )
    probe_path = models.CharField(
        max_length=100,
        choices=ProbePath,
        default=ProbePath.HEALTH,
        help_text="Asked to see whether an endpoint lives.",
    )
    probe_seconds = models.FloatField(
        default=10, validators=TIMEOUT, help_text="Between two probes of an endpoint."
    )
    probe_rise = models.PositiveSmallIntegerField(
        default=2, validators=TIMES, help_text="Good probes that bring it back."
    )
    probe_fall = models.PositiveSmallIntegerField(
        default=3, validators=TIMES, help_text="Bad probes that take it out."
    )
    completion_probe_seconds = models.FloatField(
        null=True,
        blank=True,
        validators=TIMEOUT,
        help_text="Between two probes that ask for one token. Empty: none does.",
    )
    eject_after = models.PositiveSmallIntegerField(
        default=5,
        validators=[MinValueValidator(1)],
        help_text="Failures in a row after which an endpoint is left out.",
    )
    eject_seconds = models.FloatField(
        default=30, validators=TIMEOUT, help_text="How long, times how often it happened lately."
    )
    slow_start_seconds = models.FloatField(
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(3600)],
        help_text="How long a new endpoint takes to get its full share. 0: at once.",
    )
    sends_priority = models.BooleanField(
        default=False,
        help_text="Its engines run with --scheduling-policy priority: tell them whose turn it is.",
    )
    max_registered_endpoints = models.PositiveSmallIntegerField(
        default=64,
        validators=[MinValueValidator(1), MaxValueValidator(10_000)],
        help_text="Engines that may be registered at once with the pool's join tokens.",
    )
    engine_networks = ArrayField(
        models.CharField(max_length=50, validators=[validate_network]),
        default=list,
        blank=True,
        help_text="Networks from which engines may register, comma-separated; then by address, not "
        "by name. Empty: from all that are not public.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raises ValidationError for settings that contradict each other, or probe elsewhere."""
        path = self.probe_path
        if not path.startswith("/") or path.startswith("//") or not path.isprintable():
            raise ValidationError({"probe_path": "A path begins with one /, such as /health."})
        if any(sign in path for sign in "?# \\"):
            raise ValidationError({"probe_path": "A path without query, fragment and spaces."})
        if self.hedge_after is not None and self.hedge_after >= self.first_token_timeout:
            raise ValidationError(
                {"hedge_after": "Ask another endpoint before the first token is given up on."}
            )
