"""Conversations with their items, runs and approvals."""

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce

from agents.models.choices import ACTIVE, ApprovalState, ItemKind, RunState
from agents.models.run_rows import RunQuerySet
from tenants.scoping import TenantManager, TenantOwned


class Conversation(TenantOwned):
    """A sequence of items. Its row is locked while new items get their positions."""

    public_id = models.CharField(max_length=40, unique=True)
    agent = models.CharField(
        max_length=50, blank=True, help_text="Slug of the agent that the conversation started with."
    )
    revision = models.PositiveIntegerField(
        null=True, help_text="Revision of that agent. A conversation keeps it during a rollout."
    )
    metadata = models.JSONField(default=dict, blank=True)
    next_position = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = TenantManager["Conversation"]()

    class Meta:
        ordering = ("-changed_at",)
        indexes = (
            models.Index(fields=("tenant", "-changed_at"), name="conversation_recent"),
            models.Index(fields=("-changed_at", "-id"), name="conversation_by_change"),
            models.Index(
                fields=("agent", "-changed_at"),
                condition=~Q(agent=""),
                name="conversation_by_agent",
            ),
        )

    def __str__(self) -> str:
        return self.public_id


IN_QUEUE = Q(state=RunState.QUEUED, worker="")
"""A run that any agent node may claim."""
RunManager = TenantManager.from_queryset(RunQuerySet)


class Run(TenantOwned):
    """One execution of a model or agent: its request, caller, state and result."""

    public_id = models.CharField(max_length=40, unique=True)
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, null=True, related_name="runs"
    )
    previous = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="+")
    door = models.CharField(max_length=40)
    model = models.CharField(max_length=200, help_text="The `model` of the request.")
    agent = models.CharField(max_length=50, blank=True)
    agent_revision = models.PositiveIntegerField(null=True)
    route = models.CharField(max_length=100, blank=True)
    api_key_id = models.BigIntegerField(null=True)
    member_id = models.BigIntegerField(null=True)
    client_id = models.CharField(
        max_length=128,
        blank=True,
        help_text="Idempotency key of the client: unique per conversation or API key.",
    )
    request = models.JSONField(
        default=dict, help_text="Settings of the request that the response object repeats."
    )
    background = models.BooleanField(default=False)
    store = models.BooleanField(default=True)
    state = models.CharField(max_length=20, choices=RunState, default=RunState.QUEUED)
    error = models.JSONField(null=True)
    incomplete_reason = models.CharField(max_length=40, blank=True)
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)
    # A database default, because the statement that creates a run does not name this column.
    reasoning_tokens = models.PositiveBigIntegerField(default=0, db_default=0)
    steps = models.PositiveIntegerField(default=0)
    tool_calls = models.PositiveIntegerField(default=0)
    cache_hit = models.BooleanField(default=False)
    checkpoint = models.TextField(
        blank=True, help_text="Checkpoint of the run as JSON. Emptied when the result is stored."
    )
    worker = models.CharField(
        max_length=100, blank=True, help_text="Empty while the run waits in the run queue."
    )
    priority = models.SmallIntegerField(
        default=0, db_default=0, help_text="Of a tenant's queued runs the highest is claimed first."
    )
    deadline = models.DateTimeField(
        null=True, help_text="Time after which a run that is still queued expires."
    )
    attempt = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="How many workers have claimed the run so far."
    )
    lease_until = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = RunManager()

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(fields=("tenant", "-created_at"), name="run_recent"),
            models.Index(fields=("lease_until",), name="run_leases", condition=Q(state__in=ACTIVE)),
            models.Index(fields=("agent", "-id"), condition=~Q(agent=""), name="run_by_agent"),
            models.Index(
                fields=("state", "-id"),
                condition=~Q(state=RunState.COMPLETED),
                name="run_not_completed",
            ),
            models.Index(
                fields=("id",),
                name="run_waiting",
                condition=Q(state=RunState.REQUIRES_APPROVAL),
            ),
            models.Index(
                fields=("tenant", "-priority", "id"), name="run_queue", condition=IN_QUEUE
            ),
            models.Index(
                F("tenant"),
                F("agent"),
                Coalesce("ended_at", "started_at", "created_at").desc(),
                F("id").desc(),
                condition=Q(door="a2a"),
                name="run_of_a2a",
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("conversation",),
                condition=Q(state__in=(RunState.IN_PROGRESS, RunState.REQUIRES_APPROVAL)),
                name="one_running_run_per_conversation",
            ),
            models.UniqueConstraint(
                fields=("conversation", "client_id"),
                condition=~Q(client_id=""),
                name="client_id_once_per_conversation",
            ),
            models.UniqueConstraint(
                fields=("tenant", "api_key_id", "client_id"),
                condition=Q(conversation=None) & ~Q(client_id=""),
                name="client_id_once_per_key",
            ),
        )

    def __str__(self) -> str:
        return self.public_id


class Item(TenantOwned):
    """A message, tool call or tool output. Positions order a conversation, or a run without one."""

    public_id = models.CharField(max_length=40, unique=True)
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, null=True, related_name="items"
    )
    run = models.ForeignKey(Run, on_delete=models.CASCADE, null=True, related_name="items")
    is_input = models.BooleanField(default=False, help_text="Whether the client sent the item.")
    position = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=30, choices=ItemKind)
    body = models.JSONField(help_text="The item in the format of Open Responses, without its id.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantManager["Item"]()

    class Meta:
        ordering = ("position",)
        indexes = (
            models.Index(fields=("conversation", "position"), name="item_order"),
            models.Index(fields=("run", "position"), name="item_order_of_run"),
        )

    def __str__(self) -> str:
        return self.public_id


PENDING_FIRST = Case(When(state=ApprovalState.PENDING, then=Value(0)), default=Value(1))


class Approval(TenantOwned):
    """A tool call that needs a person's approval."""

    public_id = models.CharField(max_length=40, unique=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="approvals")
    call_id = models.CharField(max_length=100)
    tool = models.CharField(max_length=64)
    arguments = models.JSONField()
    note = models.CharField(
        max_length=300,
        blank=True,
        default="",
        db_default="",
        help_text="What the person should know before deciding.",
    )
    state = models.CharField(max_length=10, choices=ApprovalState, default=ApprovalState.PENDING)
    resolved_by = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    resolved_at = models.DateTimeField(null=True)

    objects = TenantManager["Approval"]()

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(
                fields=("created_at",),
                name="approval_waiting",
                condition=Q(state=ApprovalState.PENDING),
            ),
            # The inbox: an index of expressions serves exactly these, in this order.
            models.Index(
                PENDING_FIRST.asc(), F("created_at").desc(), F("id").desc(), name="approval_inbox"
            ),
        )
        constraints = (
            models.UniqueConstraint(fields=("run", "call_id"), name="approval_once_per_call"),
        )

    def __str__(self) -> str:
        return self.public_id
