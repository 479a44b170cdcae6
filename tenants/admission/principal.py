"""The authenticated caller of a request: its key and tenant."""

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
    """An authenticated key and its tenant."""

    tenant_id: int
    tenant: str
    tenant_active: bool
    key_id: int
    lineage_id: int | None = None
    """Id of the first key of the chain of rotations; None for this key."""
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
        """The id by which limits count this key together with the keys that it replaced."""
        return self.lineage_id or self.key_id

    def may_use(self, model: str) -> bool:
        """Return whether the key may use the route or agent with this name."""
        return not self.allowed_models or model in self.allowed_models


def ensure_usable(
    principal: Principal, *, scope: str | None, address: str | None, now: float
) -> None:
    """Raise an error unless the key may be used now, from this address, for this scope.

    `now` is in seconds since 1970; `scope` is None for requests that need no scope. A socket calls
    this for each message.
    """
    if principal.blocked:
        raise RevokedApiKey
    if principal.expires_at is not None and principal.expires_at <= now:
        raise ExpiredApiKey
    if not principal.tenant_active:
        raise TenantSuspended
    if scope is not None and scope not in principal.scopes:
        raise ScopeNotGranted(
            f"This API key lacks the scope {scope!r}. Add the scope, or use another key."
        )
    if principal.allowed_networks and not is_within(address, principal.allowed_networks):
        raise IpNotAllowed


def is_within(address: str | None, networks: tuple[str, ...]) -> bool:
    """Return whether `address` is in one of `networks`; an unknown or invalid one is in none."""
    if address is None:
        return False
    try:
        caller = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(caller, "ipv4_mapped", None) or caller
    return any(mapped in ip_network(network, strict=False) for network in networks)
