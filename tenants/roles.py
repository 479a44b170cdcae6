"""Which tenant somebody means, and what they may do there."""

import re
from collections.abc import Sequence

from kernel.errors import Denied, InvalidParameter, NotFound
from tenants.models import Membership, Tenant, User
from tenants.scoping import every_tenant

SLUG = re.compile(r"[-a-zA-Z0-9_]+", re.ASCII)


def find_tenant(*, slug: str) -> Tenant:
    """Raises NotFound."""
    # A slug holds no NUL, which PostgreSQL would refuse to compare.
    tenant = Tenant.objects.filter(slug=slug).first() if SLUG.fullmatch(slug) else None
    if tenant is None:
        raise NotFound
    return tenant


def membership_of(*, user: User, tenant: str | None) -> Membership:
    """A user's role in the tenant of that slug, or in their default tenant.

    Raises NotFound for a tenant that is not theirs, as for one that does not exist; Denied without
    any role; InvalidParameter if no tenant was named and the user has no default one.
    """
    with every_tenant():
        theirs = list(Membership.objects.filter(user=user).select_related("tenant").order_by("pk"))
    if not theirs:
        raise Denied("You have no role in any tenant. Ask an operator or an admin for one.")
    if tenant is None:
        return default_membership(theirs, default_tenant_id=user.default_tenant_id)
    for membership in theirs:
        if tenant == membership.tenant.slug:
            return membership
    raise NotFound


def default_membership(
    theirs: Sequence[Membership], *, default_tenant_id: int | None
) -> Membership:
    """The membership that a call without `?tenant=` means. Raises InvalidParameter.

    Nobody else changes it: a further membership does not, and when the default tenant takes the
    person's role away, their calls are refused rather than done for another tenant.
    """
    for membership in theirs:
        if membership.tenant_id == default_tenant_id:
            return membership
    if default_tenant_id is None and len(theirs) == 1:
        return theirs[0]
    names = ", ".join(membership.tenant.slug for membership in theirs[:10])
    raise InvalidParameter(
        f"Say which tenant is meant: add ?tenant= with one of {names}, or choose one of "
        "/api/v1/my-memberships as your default.",
        param="tenant",
    )
