"""The tenant fence: a tenant-owned table refuses to be queried until somebody said for whom."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from django.db import models

from kernel.errors import PlatformError

EVERY_TENANT = 0
"""Primary keys begin at 1."""

_scope: ContextVar[int | None] = ContextVar("tenant_scope", default=None)

M_co = TypeVar("M_co", bound=models.Model, covariant=True)


class ScopeMissing(PlatformError):
    """A tenant's data was asked for outside a tenant scope."""

    code = "tenant_scope_missing"


@contextmanager
def tenant_scope(tenant_id: int) -> Iterator[None]:
    """Limit every tenant-owned query that begins inside the block to one tenant."""
    token = _scope.set(tenant_id)
    try:
        yield
    finally:
        _scope.reset(token)


@contextmanager
def every_tenant() -> Iterator[None]:
    """Lift the limit. Grep for this name: each use is a claim to be reviewed."""
    with tenant_scope(EVERY_TENANT):
        yield


def current_scope() -> int:
    """The tenant in scope, or EVERY_TENANT. Raises ScopeMissing outside any scope."""
    scope = _scope.get()
    if scope is None:
        raise ScopeMissing
    return scope


class TenantManager(models.Manager[M_co]):
    """Answers only for the tenant in scope, and refuses when there is none."""

    def get_queryset(self) -> models.QuerySet[M_co]:
        rows = super().get_queryset()
        scope = current_scope()
        return rows if scope == EVERY_TENANT else rows.filter(tenant_id=scope)


class TenantOwned(models.Model):
    """A row that belongs to one tenant. A test holds every subclass to a TenantManager."""

    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.CASCADE, related_name="+", verbose_name="tenant"
    )

    class Meta:
        abstract = True


class CountedOwned(TenantOwned):
    """A row about a tenant's counter that outlives the tenant, as the ledger does."""

    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )

    class Meta:
        abstract = True


class CountedOwnedWithoutIndex(CountedOwned):
    """One of millions of such rows, whose other indexes begin with the tenant."""

    tenant = models.ForeignKey(
        "tenants.Tenant",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )

    class Meta:
        abstract = True
