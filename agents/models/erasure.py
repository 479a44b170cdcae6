"""Receipts: that something was erased, how much, when and by whom; never what."""

from django.db import models
from django.db.models import Q

from agents.models.choices import ErasureKind
from tenants.scoping import CountedOwned, TenantManager


class ErasureReceipt(CountedOwned):
    """Kept when all that it counts is gone, and when the tenant is."""

    public_id = models.CharField(max_length=40, unique=True)
    kind = models.CharField(max_length=12, choices=ErasureKind)
    target = models.CharField(max_length=50, help_text="The id of what was erased, or the tenant.")
    requested_by = models.CharField(max_length=200)
    counts = models.JSONField(default=dict, help_text="How many of each kind are gone.")
    rest = models.JSONField(
        default=dict, help_text="Ids under which Redis may still hold something; emptied then."
    )
    erased_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(
        null=True, help_text="Empty as long as Redis may still hold something of it."
    )

    objects = TenantManager["ErasureReceipt"]()

    class Meta:
        ordering = ("-erased_at",)
        verbose_name = "erasure"
        indexes = (
            models.Index(fields=("tenant", "-erased_at"), name="receipt_recent"),
            models.Index(fields=("erased_at",), name="receipt_open", condition=Q(finished_at=None)),
        )

    def __str__(self) -> str:
        return self.public_id
