"""Which tenant somebody means, and what they may do there."""

import re

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
    """A user's role in the tenant of that slug, or in their only one.

    Raises NotFound for a tenant that is not theirs, as for one that does not exist; Denied without
    any role; InvalidParameter if there are several and nobody said which.
    """
    with every_tenant():
        theirs = list(Membership.objects.filter(user=user).select_related("tenant"))
    if not theirs:
        raise Denied("You have no role in any tenant. Ask an operator or an admin for one.")
    if tenant is None and len(theirs) > 1:
        names = ", ".join(membership.tenant.slug for membership in theirs[:10])
        raise InvalidParameter(
            f"Say which tenant is meant: add ?tenant= with one of {names}.", param="tenant"
        )
    for membership in theirs:
        if tenant in {None, membership.tenant.slug}:
            return membership
    raise NotFound
