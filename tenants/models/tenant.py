"""A tenant: a customer whose keys, agents, limits and data are its own."""

from django.core.validators import MinValueValidator
from django.db import models

from tenants.models.limit_rules import validate_time_zone


class TenantQuerySet(models.QuerySet["Tenant"]):
    def suspend(self, *, tenant_id: int) -> bool:
        """Suspend a tenant. Return False if it was suspended already."""
        return self._move(tenant_id, Tenant.Status.ACTIVE, Tenant.Status.SUSPENDED)

    def resume(self, *, tenant_id: int) -> bool:
        """Resume a suspended tenant. Return False if it was active."""
        return self._move(tenant_id, Tenant.Status.SUSPENDED, Tenant.Status.ACTIVE)

    def _move(self, tenant_id: int, before: str, after: str) -> bool:
        return self.filter(pk=tenant_id, status=before).update(status=after) == 1


class Tenant(models.Model):
    """A customer of the platform."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"

    slug = models.SlugField(max_length=50, unique=True, help_text="Short name in URLs and metrics.")
    name = models.CharField(max_length=200)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    time_zone = models.CharField(
        max_length=50,
        default="UTC",
        validators=[validate_time_zone],
        help_text="IANA name. Days of quotas and reports begin at midnight in this zone.",
    )
    plan = models.ForeignKey(
        "tenants.Plan",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="tenants",
        help_text="Its limits apply unless the tenant has its own. Empty: only the tenant's own.",
    )
    retention_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Days after the last message until a conversation is erased. Empty: never.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.name
