"""Messages to agents: one row per message, one per receiver, and the conversations of inboxes."""

from django.db import models
from django.db.models import Q

from tenants.scoping import TenantManager, TenantOwned


class DeliveryState(models.TextChoices):
    """The state of a message for one receiver."""

    PENDING = "pending", "pending"
    DELIVERED = "delivered", "delivered"
    COMPLETED = "completed", "completed"
    DEAD = "dead", "dead letter"


class AgentMessage(TenantOwned):
    """A message to one agent, or to the subscribers of a topic. Its receivers are `deliveries`."""

    public_id = models.CharField(max_length=40, unique=True)
    api_key_id = models.BigIntegerField(
        null=True, help_text="The key whose limits and usage count the runs."
    )
    lineage_id = models.BigIntegerField(
        null=True, help_text="First key of the chain of rotations of that key."
    )
    sender = models.CharField(
        max_length=50, blank=True, help_text="Slug of the agent that sent it. Empty: a client."
    )
    topic = models.CharField(max_length=63, blank=True, help_text="Empty: sent to one agent.")
    correlation_id = models.CharField(max_length=128)
    content = models.TextField()
    hops = models.PositiveSmallIntegerField(
        default=0, help_text="How many messages between agents led to this one."
    )
    message_id = models.CharField(
        max_length=128,
        blank=True,
        help_text="The sender's id of the message, for de-duplication. Empty: none.",
    )
    fingerprint = models.CharField(
        max_length=32, help_text="Hash of the message: an id must not be used for two messages."
    )
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantManager["AgentMessage"]()

    class Meta:
        ordering = ("-pk",)
        verbose_name = "message"
        indexes = (
            models.Index(fields=("tenant", "-id"), name="message_recent"),
            models.Index(fields=("tenant", "created_at"), name="message_rate"),
            models.Index(fields=("created_at",), name="message_age"),
            models.Index(
                fields=("tenant", "topic", "-id"), condition=~Q(topic=""), name="message_by_topic"
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "lineage_id", "sender", "message_id"),
                condition=~Q(message_id=""),
                name="message_once_per_id",
            ),
        )

    def __str__(self) -> str:
        return self.public_id


class Delivery(TenantOwned):
    """A message for one receiver. Each attempt is a run, whose `client_id` names the attempt."""

    public_id = models.CharField(max_length=40, unique=True)
    message = models.ForeignKey(AgentMessage, on_delete=models.CASCADE, related_name="deliveries")
    agent = models.CharField(max_length=50, help_text="Slug of the receiver.")
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    replays = models.PositiveSmallIntegerField(
        default=0, help_text="How often it was a dead letter that somebody replayed."
    )
    next_attempt_at = models.DateTimeField(null=True, help_text="Empty unless it is pending.")
    run = models.ForeignKey(
        "agents.Run", on_delete=models.SET_NULL, null=True, related_name="deliveries"
    )
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    ended_at = models.DateTimeField(null=True, help_text="When it was completed, or died.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantManager["Delivery"]()

    class Meta:
        ordering = ("pk",)
        verbose_name_plural = "deliveries"
        indexes = (
            models.Index(
                fields=("next_attempt_at",),
                condition=Q(state=DeliveryState.PENDING),
                name="delivery_due",
            ),
            models.Index(
                fields=("id",), condition=Q(state=DeliveryState.DELIVERED), name="delivery_open"
            ),
            models.Index(
                fields=("tenant", "-id"),
                condition=Q(state=DeliveryState.DEAD),
                name="delivery_dead",
            ),
            models.Index(fields=("tenant", "agent", "-id"), name="delivery_by_agent"),
        )
        constraints = (
            models.UniqueConstraint(fields=("message", "agent"), name="delivery_once_per_agent"),
        )

    def __str__(self) -> str:
        return self.public_id


class Inbox(TenantOwned):
    """The conversation to which the messages of one sender to one agent are appended."""

    agent = models.ForeignKey("agents.Agent", on_delete=models.CASCADE, related_name="inboxes")
    sender = models.CharField(max_length=50, blank=True)
    conversation = models.ForeignKey(
        "agents.Conversation", on_delete=models.CASCADE, related_name="inboxes"
    )

    objects = TenantManager["Inbox"]()

    class Meta:
        verbose_name_plural = "inboxes"
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "agent", "sender"), name="inbox_once_per_sender"
            ),
        )

    def __str__(self) -> str:
        return f"{self.agent_id} {self.sender}"
