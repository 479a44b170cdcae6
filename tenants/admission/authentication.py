"""Authentication of API keys, with a cache of their principals."""

import time
from collections.abc import Awaitable, Callable, Sequence

from kernel.asgi import Scope, header
from kernel.errors import Unauthenticated
from kernel.storage.cache import LoadingCache
from tenants.admission.principal import Principal
from tenants.api_keys.keys import key_matches, parse_key, pepper_name
from tenants.errors import InvalidApiKey, KeysUnavailable

FRESH_SECONDS = 30
STALE_SECONDS = 15 * 60
"""Maximum age of a cached principal while PostgreSQL is unavailable."""

LoadPrincipal = Callable[[str], Awaitable[Principal | None]]


class Keyring:
    """Caches principals by key, and reloads them after a publication of their tenant."""

    def __init__(
        self,
        load: LoadPrincipal,
        *,
        peppers: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._peppers = {pepper_name(pepper): pepper for pepper in peppers}
        self._principals = LoadingCache(
            load, ttl=FRESH_SECONDS, stale=STALE_SECONDS, outages=(KeysUnavailable,), clock=clock
        )

    async def authenticate(self, text: str) -> Principal:
        """Return the principal of the key `text`. Raises InvalidApiKey or KeysUnavailable.

        An unknown id and a wrong secret raise the same error.
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
        """Return the principal of a key that was authenticated before. Raises KeysUnavailable."""
        return await self._principals.get(public_id)

    async def refresh(self, principal: Principal) -> Principal:
        """Return the principal with the current state of its key. Raises InvalidApiKey."""
        current = await self._principals.get(principal.public_id)
        if current is None or current.digest != principal.digest:
            raise InvalidApiKey
        return current

    def refresh_tenant(self, tenant_id: int) -> None:
        """Reload this tenant's principals, and unknown ids, one of which may be its new key.

        Cached principals are still served while PostgreSQL is unavailable; after a restriction of a
        key or tenant call `forget_key` or `forget_tenant` instead.
        """
        self._principals.mark_outdated(
            lambda _, principal: principal is None or principal.tenant_id == tenant_id
        )

    def forget_tenant(self, tenant_id: int) -> None:
        """Reload this tenant's principals, and unknown ids; do not serve the cached ones."""
        self._principals.invalidate(
            lambda _, principal: principal is None or principal.tenant_id == tenant_id
        )

    def forget_key(self, public_id: str) -> None:
        """Reload this key, which may have been restricted; do not serve the cached principal."""
        self._principals.invalidate(lambda key, _: key == public_id)


def key_text(scope: Scope) -> str:
    """Return the key in the `Authorization` or `x-api-key` header. Raises Unauthenticated."""
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
