"""Who calls: the tenant and key behind a request, as plain values."""

from ipaddress import ip_address, ip_network

import msgspec

from tenants.errors import (
    ExpiredApiKey,
    IpNotAllowed,
    RevokedApiKey,
    ScopeNotGranted,
    TenantSuspended,
)


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was proven, with everything that the gateway must know of its tenant."""

    tenant_id: int
    tenant: str
    tenant_active: bool
    key_id: int
    lineage_id: int | None = None
    """The first key of those that replaced each other up to this one; None: this one."""
    public_id: str
    member_id: int | None
    digest: bytes
    pepper: str
    scopes: frozenset[str]
    allowed_models: frozenset[str]
    allowed_networks: tuple[str, ...]
    expires_at: float | None
    blocked: bool

    def __repr__(self) -> str:
        return f"Principal(tenant={self.tenant}, key={self.public_id})"

    @property
    def counted_as(self) -> int:
        """The id under which this key and those that it replaced are known as one caller."""
        return self.lineage_id or self.key_id

    def may_use(self, model: str) -> bool:
        """Whether the key is open for a route or agent of this name."""
        return not self.allowed_models or model in self.allowed_models


def ensure_usable(
    principal: Principal, *, scope: str | None, address: str | None, now: float
) -> None:
    """Raises the reason for which this key may not be used now, from there, for that.

    `now` is in seconds since 1970; `scope` None is what every key may do. Called again for every
    message on a long connection.
    """
    if principal.blocked:
        raise RevokedApiKey
    if principal.expires_at is not None and principal.expires_at <= now:
        raise ExpiredApiKey
    if not principal.tenant_active:
        raise TenantSuspended
    if scope is not None and scope not in principal.scopes:
        raise ScopeNotGranted(
            f"This API key lacks the scope {scope!r}. Use a key that has it, or have it added."
        )
    if principal.allowed_networks and not is_within(address, principal.allowed_networks):
        raise IpNotAllowed


def is_within(address: str | None, networks: tuple[str, ...]) -> bool:
    """Whether `address` lies in one of `networks`. An unknown address lies in none."""
    if address is None:
        return False
    try:
        caller = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(caller, "ipv4_mapped", None) or caller
    return any(mapped in ip_network(network, strict=False) for network in networks)
