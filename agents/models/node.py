"""Nodes: the processes that serve and execute, and the tokens with which agent nodes register."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q

from tenants.models.registration_token import RegistrationToken


class NodeKind(models.TextChoices):
    """The work of a node."""

    AGENT = "agent", "agent node"
    GATEWAY = "gateway", "gateway"


class NodeState(models.TextChoices):
    """The state of a node. It reports its own, except `down`."""

    STARTING = "starting", "starting"
    UP = "up", "up"
    DEGRADED = "degraded", "degraded"
    DRAINING = "draining", "draining"
    DOWN = "down", "down"


class NodeQuerySet(models.QuerySet["AgentNode"]):
    """Rows of nodes."""

    def present(self) -> "NodeQuerySet":
        """All nodes but those that ended in order."""
        return self.filter(stopped_at=None)


class AgentNode(models.Model):
    """One process that serves tenants (a gateway worker) or executes their runs (an agent node)."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=10, choices=NodeKind)
    worker = models.CharField(
        max_length=100, unique=True, editable=False, help_text="The id that runs have as worker."
    )
    host = models.CharField(max_length=255, blank=True)
    pod = models.CharField(max_length=253, blank=True)
    version = models.CharField(max_length=50, blank=True)
    zone = models.CharField(max_length=63, blank=True)
    labels = models.JSONField(default=dict, blank=True)
    capabilities = ArrayField(models.CharField(max_length=63), default=list, blank=True)
    weight = models.PositiveSmallIntegerField(
        default=1, help_text="Share of the runs, compared with other nodes."
    )
    slots = models.PositiveIntegerField(
        null=True,
        validators=[MinValueValidator(1)],
        help_text="Maximum number of runs at the same time. Gateways have none.",
    )
    token = models.ForeignKey(
        "agents.NodeToken", on_delete=models.SET_NULL, null=True, related_name="nodes"
    )
    state = models.CharField(max_length=10, choices=NodeState, default=NodeState.STARTING)
    note = models.CharField(max_length=200, blank=True, help_text="Reason of the state.")
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True, help_text="Time of an end in order.")
    drain_requested_at = models.DateTimeField(null=True)
    runs = models.PositiveIntegerField(default=0)
    sockets = models.PositiveIntegerField(default=0)
    load = models.JSONField(default=dict, blank=True)

    objects = NodeQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        verbose_name = "node"

    def __str__(self) -> str:
        return self.name


class NodeToken(RegistrationToken):
    """A secret with which agent nodes register. Only its digest is stored."""

    max_uses = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Maximum number of registrations. Empty: no limit.",
    )
    uses = models.PositiveIntegerField(default=0, editable=False)

    class Meta(RegistrationToken.Meta):
        constraints = (
            models.CheckConstraint(
                condition=Q(max_uses=None) | Q(uses__lte=F("max_uses")),
                name="node_token_uses_within_limit",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} (tnn_{self.public_id}…)"
