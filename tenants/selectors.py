"""Queries of tenants: plain values for the gateway, query sets for the console."""

from kernel.storage.database import UNAVAILABLE
from tenants.admission.principal import Principal
from tenants.errors import KeysUnavailable
from tenants.models import ApiKey, Membership, Tenant, User
from tenants.scoping import every_tenant


def load_principal(public_id: str) -> Principal | None:
    """Return the principal of a key by its public id, or None. Raises KeysUnavailable in an outage.

    Queries all tenants, because the key determines the tenant.
    """
    try:
        with every_tenant():
            key = (
                ApiKey.objects.select_related("tenant", "member")
                .filter(public_id=public_id)
                .first()
            )
    except UNAVAILABLE as error:
        raise KeysUnavailable from error
    return as_principal(key) if key else None


def as_principal(key: ApiKey) -> Principal:
    return Principal(
        tenant_id=key.tenant_id,
        tenant=key.tenant.slug,
        tenant_active=key.tenant.status == Tenant.Status.ACTIVE,
        key_id=key.pk,
        lineage_id=key.lineage,
        public_id=key.public_id,
        member_id=key.member_id,
        digest=bytes(key.digest),
        pepper=key.pepper,
        scopes=frozenset(key.scopes),
        allowed_models=frozenset(key.allowed_models),
        allowed_networks=tuple(key.allowed_networks),
        expires_at=key.expires_at.timestamp() if key.expires_at else None,
        blocked=key.blocked_at is not None,
    )


def tenant_ids_of(*, user: User) -> list[int]:
    """Return the tenants in which a user has any role."""
    with every_tenant():
        return list(Membership.objects.filter(user=user).values_list("tenant_id", flat=True))
