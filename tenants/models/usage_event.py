"""The ledger: one row per metered request, appended and never changed."""

from django.db import models
from django.db.models import Q

from tenants.scoping import CountedOwnedWithoutIndex, TenantManager


class UsageEvent(CountedOwnedWithoutIndex):
    """The usage of one request. A trigger refuses every UPDATE; corrections are separate rows.

    References have no database constraint, so that the history of a deleted key is kept.
    """

    class Kind(models.TextChoices):
        FINAL = "final"
        ABANDONED = "abandoned", "abandoned: the worker died"
        CORRECTION = "correction"

    class Status(models.TextChoices):
        COMPLETED = "completed"
        CLIENT_LEFT = "client_left", "client left"
        CANCELLED = "cancelled"
        FAILED = "failed"

    # References have no index of their own: the ones below begin with them, or no query needs one.
    api_key = models.ForeignKey(
        "tenants.ApiKey",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name="API key",
    )
    member = models.ForeignKey(
        "tenants.Membership",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
    )
    request_id = models.CharField(max_length=40)
    client_request_id = models.CharField(max_length=128, blank=True)
    kind = models.CharField(max_length=10, choices=Kind)
    door = models.CharField(max_length=30)
    agent = models.CharField(max_length=50, blank=True)
    agent_revision = models.PositiveIntegerField(null=True)
    route = models.CharField(max_length=100)
    pool = models.CharField(max_length=100, blank=True)
    endpoint = models.CharField(max_length=40, blank=True)
    prompt_tokens = models.BigIntegerField()
    completion_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField(default=0)
    cost_micro = models.BigIntegerField(
        default=0, help_text="Millionths of the currency unit.", verbose_name="cost (µ)"
    )
    estimated = models.BooleanField(default=False, help_text="The engine reported no usage.")
    status = models.CharField(max_length=12, choices=Status)
    error_code = models.CharField(max_length=40, blank=True)
    ttft_ms = models.FloatField(null=True, verbose_name="TTFT (ms)")
    duration_ms = models.FloatField(verbose_name="duration (ms)")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    decision = models.JSONField(default=dict, help_text="The routing decision.")
    charges = models.JSONField(default=list, help_text="The quota windows that count this entry.")

    objects = TenantManager["UsageEvent"]()

    class Meta:
        ordering = ("-started_at", "-pk")
        verbose_name = "ledger entry"
        verbose_name_plural = "ledger"
        constraints = (
            models.UniqueConstraint(fields=("request_id", "kind"), name="usage_counted_once"),
            models.UniqueConstraint(
                fields=("request_id",),
                condition=~Q(kind="correction"),
                name="usage_final_or_abandoned",
            ),
            models.CheckConstraint(
                condition=Q(kind="correction")
                | Q(
                    prompt_tokens__gte=0,
                    completion_tokens__gte=0,
                    cached_tokens__gte=0,
                    cost_micro__gte=0,
                ),
                name="usage_is_not_negative",
            ),
        )
        indexes = (
            models.Index(fields=("tenant", "-started_at"), name="usage_by_tenant"),
            models.Index(fields=("-started_at",), name="usage_by_time"),
            models.Index(fields=("api_key", "-started_at"), name="usage_by_key"),
            # Without these, a filter by a route or door with few rows would scan the whole table.
            models.Index(fields=("route", "-started_at"), name="usage_by_route"),
            models.Index(fields=("door", "-started_at"), name="usage_by_door"),
            # Partial indexes of rare rows, which cost the writes of all other rows nothing.
            models.Index(
                fields=("status", "-started_at"),
                condition=~Q(status="completed"),
                name="usage_by_failure",
            ),
            models.Index(
                fields=("kind", "-started_at"), condition=~Q(kind="final"), name="usage_by_kind"
            ),
            models.Index(
                fields=("agent", "tenant", "agent_revision", "-started_at"),
                condition=~Q(agent=""),
                name="usage_by_agent",
            ),
            models.Index(
                fields=("client_request_id",),
                condition=~Q(client_request_id=""),
                name="usage_by_client_id",
            ),
        )

    def __str__(self) -> str:
        return f"{self.request_id} ({self.kind})"
