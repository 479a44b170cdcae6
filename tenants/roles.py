"""The tenant of a call, and the role of the user in it."""

import re
from collections.abc import Sequence

from kernel.errors import Denied, InvalidParameter, NotFound
from tenants.models import Membership, Tenant, User
from tenants.scoping import every_tenant

SLUG = re.compile(r"[-a-zA-Z0-9_]+", re.ASCII)


def find_tenant(*, slug: str) -> Tenant:
    """Return the tenant with a slug. Raises NotFound."""
    # PostgreSQL raises an error for a NUL character in a text.
    tenant = Tenant.objects.filter(slug=slug).first() if SLUG.fullmatch(slug) else None
    if tenant is None:
        raise NotFound
    return tenant


def membership_of(*, user: User, tenant: str | None) -> Membership:
    """Return a user's membership in the tenant with this slug, or in their default tenant.

    Raises NotFound for a tenant of others or an unknown one; Denied for a user without any role;
    InvalidParameter if `tenant` is None and the user has no default tenant.
    """
    with every_tenant():
        theirs = list(Membership.objects.filter(user=user).select_related("tenant").order_by("pk"))
    if not theirs:
        raise Denied("You have no role in any tenant. Ask an operator or an admin for a role.")
    if tenant is None:
        return default_membership(theirs, default_tenant_id=user.default_tenant_id)
    for membership in theirs:
        if tenant == membership.tenant.slug:
            return membership
    raise NotFound


def default_membership(
    theirs: Sequence[Membership], *, default_tenant_id: int | None
) -> Membership:
    """Return the membership for a call without `?tenant=`. Raises InvalidParameter.

    The default does not change with further memberships. If the user loses the role in the default
    tenant, calls are refused and not done for another tenant.
    """
    for membership in theirs:
        if membership.tenant_id == default_tenant_id:
            return membership
    if default_tenant_id is None and len(theirs) == 1:
        return theirs[0]
    names = ", ".join(membership.tenant.slug for membership in theirs[:10])
    raise InvalidParameter(
        f"Select a tenant: add ?tenant= with one of {names}, or make one of "
        "/api/v1/my-memberships your default.",
        param="tenant",
    )
