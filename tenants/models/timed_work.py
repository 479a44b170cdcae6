"""State of periodic jobs: position in the ledger, and the last visit of each tenant."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenants.scoping import CountedOwned, TenantManager


class LedgerCheckpoint(models.Model):
    """The position of reconciliation in the ledger, a single row.

    ChargedSum has the sums of all rows up to `through_id`.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    through_id = models.BigIntegerField(default=0)
    next_id = models.BigIntegerField(default=0)
    """The newest row at the last update of the checkpoint; earlier rows may not be visible yet."""
    writers = ArrayField(models.TextField(), default=list)
    """Transactions that wrote then. After all have ended, every row up to `next_id` is visible."""

    class Meta:
        constraints = (
            models.CheckConstraint(condition=models.Q(id=1), name="ledger_checkpoint_is_one"),
        )

    def __str__(self) -> str:
        return f"ledger through {self.through_id}"


class ChargedSum(CountedOwned):
    """Sum that the ledger's rows up to the checkpoint charged to one counter in one window."""

    counter = models.CharField(max_length=300)
    window = models.CharField(max_length=40)
    amount = models.BigIntegerField()

    objects = TenantManager["ChargedSum"]()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "counter", "window"), name="charged_sum_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.counter} {self.window}: {self.amount}"


class TenantLook(CountedOwned):
    """The last visit of a tenant by a periodic job, which visits the longest unvisited first."""

    job = models.CharField(max_length=50)
    looked_at = models.DateTimeField()

    objects = TenantManager["TenantLook"]()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("job", "tenant"), name="tenant_look_once"),)

    def __str__(self) -> str:
        return f"{self.job} at {self.looked_at}"
