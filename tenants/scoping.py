"""The tenant fence: tenant-owned tables can be queried only inside a tenant scope."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from django.db import models

from kernel.errors import PlatformError

EVERY_TENANT = 0
"""The scope of all tenants; primary keys begin at 1."""

_scope: ContextVar[int | None] = ContextVar("tenant_scope", default=None)

M_co = TypeVar("M_co", bound=models.Model, covariant=True)


class ScopeMissing(PlatformError):
    """A tenant-owned table was queried outside a tenant scope."""

    code = "tenant_scope_missing"


@contextmanager
def tenant_scope(tenant_id: int) -> Iterator[None]:
    """Restrict every tenant-owned query inside the block to one tenant."""
    token = _scope.set(tenant_id)
    try:
        yield
    finally:
        _scope.reset(token)


@contextmanager
def every_tenant() -> Iterator[None]:
    """Query all tenants inside the block. Each use must be reviewed."""
    with tenant_scope(EVERY_TENANT):
        yield


def current_scope() -> int:
    """Return the tenant in scope, or EVERY_TENANT. Raises ScopeMissing outside any scope."""
    scope = _scope.get()
    if scope is None:
        raise ScopeMissing
    return scope


class TenantManager(models.Manager[M_co]):
    """Queries only the tenant in scope. Raises ScopeMissing without a scope."""

    def get_queryset(self) -> models.QuerySet[M_co]:
        rows = super().get_queryset()
        scope = current_scope()
        return rows if scope == EVERY_TENANT else rows.filter(tenant_id=scope)


class TenantOwned(models.Model):
    """A row that belongs to one tenant. A test requires that every subclass has a TenantManager."""

    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.CASCADE, related_name="+", verbose_name="tenant"
    )

    class Meta:
        abstract = True


class CountedOwned(TenantOwned):
    """A row about usage of a tenant, which is kept if the tenant is deleted, like the ledger."""

    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )

    class Meta:
        abstract = True


class CountedOwnedWithoutIndex(CountedOwned):
    """A CountedOwned for large tables, whose other indexes begin with the tenant."""

    tenant = models.ForeignKey(
        "tenants.Tenant",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )

    class Meta:
        abstract = True
