"""A model pool: endpoints that are interchangeable."""

from ipaddress import ip_network

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


def validate_network(value: str) -> None:
    """Raise ValidationError unless `value` is an IP address or network."""
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise ValidationError(
            f"{value} is not an address or network. Example: 10.0.0.0/8 or fd00::/8."
        ) from None


class EngineKind(models.TextChoices):
    """The kind of server behind an endpoint."""

    VLLM = "vllm", "vLLM"
    LLAMACPP = "llamacpp", "llama.cpp"
    OPENAI = "openai", "Another OpenAI-compatible server"


class Strategy(models.TextChoices):
    """Strategies that choose the endpoint of a request, by their names in `fleet.strategies`."""

    LEAST_REQUESTS = "least_requests", "Least requests"
    ROUND_ROBIN = "round_robin", "Round robin"
    WEIGHTED_ROUND_ROBIN = "weighted_round_robin", "Weighted round robin"
    RANDOM = "random", "Random"
    TWO_CHOICES = "two_choices", "Power of two choices"
    WEIGHTED_LEAST_REQUESTS = "weighted_least_requests", "Weighted least requests"
    LOWEST_LATENCY = "lowest_latency", "Lowest latency (time to first token)"
    CONSISTENT_HASH = "consistent_hash", "Consistent hash (of the conversation or the API key)"
    PREFIX_AFFINITY = (
        "prefix_affinity",
        "Prefix affinity (long prompts go to the endpoint that cached them)",
    )
    QUEUE_AWARE = "queue_aware", "Queue length and KV cache usage, as the engines report them"


class ProbePath(models.TextChoices):
    """The only paths of an engine that a probe may request."""

    HEALTH = "/health", "/health: vLLM, llama.cpp and most others"
    HEALTHZ = "/healthz", "/healthz"
    READY = "/ready", "/ready"
    READYZ = "/readyz", "/readyz"
    PING = "/ping", "/ping"
    MODELS = "/v1/models", "/v1/models: for engines without a health path"


TIMEOUT = (MinValueValidator(0.1), MaxValueValidator(3600))
TIMES = (MinValueValidator(1), MaxValueValidator(100))


class ModelPool(models.Model):
    """Endpoints that serve the same model and can stand in for each other."""

    name = models.SlugField(max_length=100, unique=True)
    engine = models.CharField(max_length=10, choices=EngineKind, default=EngineKind.VLLM)
    connect_timeout = models.FloatField(
        default=5, validators=TIMEOUT, help_text="Seconds to wait for a connection."
    )
    first_token_timeout = models.FloatField(
        default=120,
        validators=TIMEOUT,
        help_text="Seconds to wait for the first token, or for a response that is not streamed.",
    )
    token_timeout = models.FloatField(
        default=60, validators=TIMEOUT, help_text="Seconds to wait between two tokens."
    )
    strategy = models.CharField(max_length=30, choices=Strategy, default=Strategy.LEAST_REQUESTS)
    max_in_flight = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Maximum number of requests that run in the pool. Empty: the sum of its "
        "endpoints.",
    )
    queue_length = models.PositiveIntegerField(
        default=200,
        validators=[MaxValueValidator(100_000)],
        help_text="Maximum number of requests that wait for a free endpoint. 0: none.",
    )
    queue_seconds = models.FloatField(
        default=30,
        validators=TIMEOUT,
        help_text="Seconds that a request may wait before it is rejected.",
    )
    hedge_after = models.FloatField(
        null=True,
        blank=True,
        validators=TIMEOUT,
        help_text="Seconds without a token until the request is also sent to another endpoint. "
        "Empty: never.",
    )
    probe_path = models.CharField(
        max_length=100,
        choices=ProbePath,
        default=ProbePath.HEALTH,
        help_text="The path that health probes request.",
    )
    probe_seconds = models.FloatField(
        default=10, validators=TIMEOUT, help_text="Seconds between two probes of an endpoint."
    )
    probe_rise = models.PositiveSmallIntegerField(
        default=2,
        validators=TIMES,
        help_text="Successful probes in a row after which an endpoint is ready again.",
    )
    probe_fall = models.PositiveSmallIntegerField(
        default=3,
        validators=TIMES,
        help_text="Failed probes in a row after which an endpoint is unhealthy.",
    )
    completion_probe_seconds = models.FloatField(
        null=True,
        blank=True,
        validators=TIMEOUT,
        help_text="Seconds between two probes that request one token. Empty: no such probes.",
    )
    eject_after = models.PositiveSmallIntegerField(
        default=5,
        validators=[MinValueValidator(1)],
        help_text="Failed requests in a row after which an endpoint is ejected.",
    )
    eject_seconds = models.FloatField(
        default=30,
        validators=TIMEOUT,
        help_text="Seconds of an ejection, multiplied by the number of recent ejections.",
    )
    slow_start_seconds = models.FloatField(
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(3600)],
        help_text="Seconds until a new endpoint gets its full share of requests. 0: at once.",
    )
    sends_priority = models.BooleanField(
        default=False,
        help_text="Send vLLM's priority with each request, for engines that run with "
        "--scheduling-policy priority.",
    )
    max_registered_endpoints = models.PositiveSmallIntegerField(
        default=64,
        validators=[MinValueValidator(1), MaxValueValidator(10_000)],
        help_text="Maximum number of engines that are registered with the join tokens of the pool.",
    )
    engine_networks = ArrayField(
        models.CharField(max_length=50, validators=[validate_network]),
        default=list,
        blank=True,
        help_text="Networks from which engines may register, separated by commas; engines then "
        "register by address, not by name. Empty: all networks that are not public.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raise ValidationError for contradicting settings and an invalid probe path."""
        path = self.probe_path
        if not path.startswith("/") or path.startswith("//") or not path.isprintable():
            raise ValidationError(
                {"probe_path": "A path begins with one slash, for example /health."}
            )
        if any(sign in path for sign in "?# \\"):
            raise ValidationError({"probe_path": "A path has no query, fragment or spaces."})
        if self.hedge_after is not None and self.hedge_after >= self.first_token_timeout:
            raise ValidationError(
                {"hedge_after": "hedge_after must be less than first_token_timeout."}
            )
