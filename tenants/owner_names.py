"""What people call the owners of scopes: keys and members."""

from collections.abc import Iterable, Mapping

from django.db.models import Q

from tenants.models import ApiKey, Membership
from tenants.scoping import tenant_scope


def owner_names(tenant_id: int, owners: Iterable[str]) -> Mapping[str, str]:
    """Of whom limits count: `key:12` -> `Laptop (tnt_…)`. Two queries at most; who is gone has no
    name. Keys that replaced each other are counted as the first one and called as the newest.
    """
    with tenant_scope(tenant_id):
        return owner_names_in_scope(owners)


def owner_names_in_scope(owners: Iterable[str]) -> Mapping[str, str]:
    """The same for owners of whichever tenants the caller may see."""
    asked = list(owners)
    keys, members = numbers_of("key", asked), numbers_of("member", asked)
    rows = ApiKey.objects.filter(Q(pk__in=keys) | Q(lineage__in=keys)) if keys else ()
    people = Membership.objects.select_related("user").filter(pk__in=members) if members else ()
    return {
        "tenant": "All requests",
        **{f"key:{key.counted_as}": str(key) for key in sorted(rows, key=lambda row: row.pk)},
        **{f"member:{each.pk}": each.user.username for each in people},
    }


def key_names(tenant_id: int, owners: Iterable[str]) -> Mapping[str, str]:
    """Of keys themselves: `key:12` -> `Laptop (tnt_…)`."""
    keys = numbers_of("key", owners)
    with tenant_scope(tenant_id):
        rows = ApiKey.objects.filter(pk__in=keys) if keys else ()
        return {f"key:{key.pk}": str(key) for key in rows}


def numbers_of(kind: str, owners: Iterable[str]) -> list[int]:
    parts = [owner.partition(":") for owner in owners]
    return [int(number) for each, _, number in parts if each == kind and number.isdigit()]
