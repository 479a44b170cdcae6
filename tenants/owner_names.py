"""Displayed names of the owners of scopes: keys and members."""

from collections.abc import Iterable, Mapping

from django.db.models import Q

from tenants.models import ApiKey, Membership
from tenants.scoping import tenant_scope


def owner_names(tenant_id: int, owners: Iterable[str]) -> Mapping[str, str]:
    """Return names of owners of counters: `key:12` -> `Laptop (tnt_…)`. Runs at most two queries.

    Deleted owners are left out. A chain of rotated keys has the id of the first key and the name of
    the newest.
    """
    with tenant_scope(tenant_id):
        return owner_names_in_scope(owners)


def owner_names_in_scope(owners: Iterable[str]) -> Mapping[str, str]:
    """Return names of owners, see `owner_names`, for the tenants in scope."""
    listed = list(owners)
    keys, members = numbers_of("key", listed), numbers_of("member", listed)
    rows = ApiKey.objects.filter(Q(pk__in=keys) | Q(lineage__in=keys)) if keys else ()
    people = Membership.objects.select_related("user").filter(pk__in=members) if members else ()
    return {
        "tenant": "All requests",
        **{f"key:{key.counted_as}": str(key) for key in sorted(rows, key=lambda row: row.pk)},
        **{f"member:{each.pk}": each.user.username for each in people},
    }


def key_names(tenant_id: int, owners: Iterable[str]) -> Mapping[str, str]:
    """Return names of single keys: `key:12` -> `Laptop (tnt_…)`."""
    keys = numbers_of("key", owners)
    with tenant_scope(tenant_id):
        rows = ApiKey.objects.filter(pk__in=keys) if keys else ()
        return {f"key:{key.pk}": str(key) for key in rows}


def numbers_of(kind: str, owners: Iterable[str]) -> list[int]:
    parts = [owner.partition(":") for owner in owners]
    return [int(number) for each, _, number in parts if each == kind and number.isdigit()]
