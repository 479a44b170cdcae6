"""What people call the owners of scopes: keys and members."""

from collections.abc import Iterable, Mapping

from tenants.models import ApiKey, Membership
from tenants.scoping import tenant_scope


def owner_names(tenant_id: int, owners: Iterable[str]) -> Mapping[str, str]:
    """`key:12` -> `key Laptop (tnt_…)`. Two queries at most; who is gone has no name."""
    with tenant_scope(tenant_id):
        return owner_names_in_scope(owners)


def owner_names_in_scope(owners: Iterable[str]) -> Mapping[str, str]:
    """The same for owners of whichever tenants the caller may see."""
    ids: dict[str, list[int]] = {"key": [], "member": []}
    for owner in owners:
        kind, _, number = owner.partition(":")
        if kind in ids and number.isdigit():
            ids[kind].append(int(number))
    keys = ApiKey.objects.filter(pk__in=ids["key"]) if ids["key"] else ()
    people = (
        Membership.objects.select_related("user").filter(pk__in=ids["member"])
        if ids["member"]
        else ()
    )
    return {
        "tenant": "All requests",
        **{f"key:{key.pk}": str(key) for key in keys},
        **{f"member:{each.pk}": each.user.username for each in people},
    }
