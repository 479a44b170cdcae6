"""Authenticate: from a key's text to a principal, mostly without asking anybody."""

from collections.abc import Awaitable, Callable, Sequence

from kernel.asgi import Scope, header
from kernel.errors import Unauthenticated
from kernel.storage.cache import LoadingCache
from tenants.admission.principal import Principal
from tenants.api_keys.keys import key_matches, parse_key, pepper_name
from tenants.errors import InvalidApiKey, KeysUnavailable

FRESH_SECONDS = 30
STALE_SECONDS = 15 * 60
"""How long a known key works while PostgreSQL is away."""

LoadPrincipal = Callable[[str], Awaitable[Principal | None]]


class Keyring:
    """Knows the principals behind keys; forgets them when their tenant is published."""

    def __init__(self, load: LoadPrincipal, *, peppers: Sequence[str]) -> None:
        self._peppers = {pepper_name(pepper): pepper for pepper in peppers}
        self._principals = LoadingCache(
            load, ttl=FRESH_SECONDS, stale=STALE_SECONDS, outages=(KeysUnavailable,)
        )

    async def authenticate(self, text: str) -> Principal:
        """The principal who holds the key `text`. Raises InvalidApiKey or KeysUnavailable.

        Unknown ids and wrong secrets are one answer, and no principal exists without a proof.
        """
        key = parse_key(text)
        if key is None:
            raise InvalidApiKey
        principal = await self._principals.get(key.public_id)
        if principal is None:
            raise InvalidApiKey
        pepper = self._peppers.get(principal.pepper)
        if pepper is None or not key_matches(key, digest=principal.digest, pepper=pepper):
            raise InvalidApiKey
        return principal

    async def find(self, public_id: str) -> Principal | None:
        """The principal of a key that was proven before, elsewhere. Raises KeysUnavailable."""
        return await self._principals.get(public_id)

    async def refresh(self, principal: Principal) -> Principal:
        """The same key as it is now. Raises InvalidApiKey if it is gone."""
        current = await self._principals.get(principal.public_id)
        if current is None or current.digest != principal.digest:
            raise InvalidApiKey
        return current

    def refresh_tenant(self, tenant_id: int) -> None:
        """Load this tenant's principals anew, and unknown ids too: one may be its new key.

        While PostgreSQL is away, those that are known go on. What was taken from a key or a tenant
        is told by `forget_key` and `forget_tenant`.
        """
        self._principals.mark_outdated(
            lambda _, principal: principal is None or principal.tenant_id == tenant_id
        )

    def forget_tenant(self, tenant_id: int) -> None:
        """Load this tenant's principals anew, and unknown ids too, or serve none of them."""
        self._principals.invalidate(
            lambda _, principal: principal is None or principal.tenant_id == tenant_id
        )

    def forget_key(self, public_id: str) -> None:
        """Load this key anew, or do not serve it: it may do less than before."""
        self._principals.invalidate(lambda key, _: key == public_id)


def key_text(scope: Scope) -> str:
    """The key in the `Authorization` or `x-api-key` header. Raises Unauthenticated."""
    bearer = header(scope, b"authorization")
    if bearer is not None:
        scheme, _, text = bearer.partition(b" ")
        if scheme.lower() != b"bearer":
            raise Unauthenticated
        return text.strip().decode("latin-1")
    plain = header(scope, b"x-api-key")
    if plain is None:
        raise Unauthenticated
    return plain.strip().decode("latin-1")
