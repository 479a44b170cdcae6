"""Receipts of erasures: the counts of what was erased, the time and the requester, but no data."""

from django.db import models
from django.db.models import Q

from agents.models.choices import ErasureKind
from tenants.scoping import CountedOwned, TenantManager


class ErasureReceipt(CountedOwned):
    """The record of an erasure. It outlives the erased data and the tenant."""

    public_id = models.CharField(max_length=40, unique=True)
    kind = models.CharField(max_length=12, choices=ErasureKind)
    target = models.CharField(
        max_length=50, help_text="Id of the erased conversation, or the tenant."
    )
    requested_by = models.CharField(max_length=200)
    counts = models.JSONField(default=dict, help_text="Number of erased objects of each kind.")
    rest = models.JSONField(
        default=dict, help_text="Ids whose data Redis may still have. Emptied when Redis is done."
    )
    erased_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(
        null=True, help_text="When Redis was done. Empty while Redis may still have erased data."
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
