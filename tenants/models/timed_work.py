"""What timed work remembers: how far it has read the ledger, and when it looked at each tenant."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenants.scoping import CountedOwned, TenantManager


class LedgerCheckpoint(models.Model):
    """How far reconciliation has summed up the ledger: one row.

    The sums of all rows up to `through_id` are kept in ChargedSum.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    through_id = models.BigIntegerField(default=0)
    next_id = models.BigIntegerField(default=0)
    """The last row when the checkpoint was last looked at; earlier ones may not be visible yet."""
    writers = ArrayField(models.TextField(), default=list)
    """When all these transactions have ended, all rows up to `next_id` are visible."""

    class Meta:
        constraints = (
            models.CheckConstraint(condition=models.Q(id=1), name="ledger_checkpoint_is_one"),
        )

    def __str__(self) -> str:
        return f"ledger through {self.through_id}"


class ChargedSum(CountedOwned):
    """What the ledger's rows up to the checkpoint charged one counter in one window."""

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
    """When a timed job last looked at a tenant: those it has not reached for longest come first."""

    job = models.CharField(max_length=50)
    looked_at = models.DateTimeField()

    objects = TenantManager["TenantLook"]()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("job", "tenant"), name="tenant_look_once"),)

    def __str__(self) -> str:
        return f"{self.job} at {self.looked_at}"
