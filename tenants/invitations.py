"""Invitations, the default tenant of a user, and leaving a tenant.

A tenant's admin cannot find out whether a user exists: an invitation for an unknown name has the
same response and takes the same time.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from kernel.errors import NotFound
from tenants import services
from tenants.errors import TooManyInvitations
from tenants.models import Invitation, Membership, Tenant, User
from tenants.scoping import every_tenant, tenant_scope

MAX_OPEN_INVITATIONS = 200
"""Maximum number of open invitations of one tenant."""
MAX_INVITATION_AGE = timedelta(days=14)


@transaction.atomic
def invite(*, tenant: Tenant, username: str, role: str, now: datetime) -> Invitation:
    """Offer a role to the user with a name; a second call renews the offer.

    Raises TooManyInvitations.
    """
    # All statements run whether or not the user exists, so that the timing is the same.
    user = User.objects.filter(username=username).only("pk").first()
    with tenant_scope(tenant.pk):
        others = Invitation.objects.filter(is_open(now)).exclude(username=username)
        if others.count() >= MAX_OPEN_INVITATIONS:
            raise TooManyInvitations
        invitation, _ = Invitation.objects.update_or_create(
            tenant=tenant,
            username=username,
            defaults={
                "user": user,
                "role": role,
                "created_at": now,
                "expires_at": now + MAX_INVITATION_AGE,
                "declined_at": None,
            },
        )
    return invitation


def is_open(now: datetime) -> Q:
    """Return the condition of invitations that have not expired."""
    return Q(expires_at__gt=now)


def open_invitations(*, user: User, now: datetime) -> QuerySet[Invitation]:
    """Return the open invitations of a user in all tenants. Opens its own scope."""
    with every_tenant():
        mine = Invitation.objects.filter(services.invitation_for(user), is_open(now))
        return mine.filter(declined_at=None).select_related("tenant")


@transaction.atomic
def accept_invitation(*, invitation: Invitation, user: User, now: datetime) -> Membership:
    """Accept an invitation. Raises NotFound if it was withdrawn."""
    locked = open_invitations(user=user, now=now).select_for_update(of=("self",))
    offer = locked.filter(pk=invitation.pk).first()
    if offer is None:
        raise NotFound
    return services.add_member(tenant=offer.tenant, user=user, role=offer.role)


@transaction.atomic
def decline_invitation(*, invitation: Invitation, now: datetime) -> None:
    """Decline an invitation. The tenant still sees it as open until it expires."""
    with tenant_scope(invitation.tenant_id):
        Invitation.objects.filter(pk=invitation.pk).update(declined_at=now)


@transaction.atomic
def withdraw_invitation(*, invitation: Invitation) -> None:
    with tenant_scope(invitation.tenant_id):
        invitation.delete()


@transaction.atomic
def choose_default_tenant(*, membership: Membership) -> None:
    """Make a tenant the default of the user's API calls."""
    user = membership.user
    user.default_tenant_id = membership.tenant_id
    user.save(update_fields=["default_tenant"])


@transaction.atomic
def leave_tenant(*, membership: Membership) -> None:
    """Delete a user's own membership. A single remaining tenant becomes the default."""
    user = membership.user
    services.remove_member(membership=membership)
    if user.default_tenant_id not in {None, membership.tenant_id}:
        return
    with every_tenant():
        left = list(Membership.objects.filter(user=user).values_list("tenant_id", flat=True)[:2])
    user.default_tenant_id = left[0] if len(left) == 1 else None
    user.save(update_fields=["default_tenant"])
