"""The addresses of clients behind proxies, by the same rule in the gateway and the console."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings

from config.env import parse_network
from kernel.asgi import Application, Receive, Scope, Send

Address = IPv4Address | IPv6Address

FORWARDED_FOR = b"x-forwarded-for"
MAX_CACHED_CHARS = 200
"""Maximum size of a header whose result is cached: clients decide how long a header is."""


class TrustedProxies:
    """The proxies of `TENANTRY_TRUSTED_PROXIES`.

    `X-Forwarded-For` is read if the peer of the connection is one of them, alone or in a network.
    In the header itself only exact addresses are proxies: a network also contains clients, and
    one of them could write another address in front of its own.
    """

    def __init__(self, values: Iterable[str]) -> None:
        """Raises ValueError for a value that is no address and no network."""
        self._networks = tuple(map(parse_network, values))
        self._exact = {
            network.network_address
            for network in self._networks
            if network.prefixlen == network.max_prefixlen
        }
        self._is_trusted = lru_cache(maxsize=4096)(self._contains)
        self._cached_host = lru_cache(maxsize=4096)(self._host)

    def __contains__(self, peer: str) -> bool:
        """Return whether the peer of a connection is trusted, as a Unix socket always is."""
        return self._is_trusted(peer)

    def _contains(self, peer: str) -> bool:
        address = parse_address(peer)
        if address is None:
            return not peer
        return any(address in network for network in self._networks)

    def client_host(self, peer: str, forwarded: str) -> str | None:
        """Return `client_address` as text. The clients of a gateway send many requests each."""
        find = self._cached_host if len(forwarded) <= MAX_CACHED_CHARS else self._host
        return find(peer, forwarded)

    def _host(self, peer: str, forwarded: str) -> str | None:
        address = self.client_address(peer, forwarded=forwarded)
        return None if address is None else str(address)

    def client_address(self, peer: str, *, forwarded: str) -> Address | None:
        """Return the right-most address of `peer` and `forwarded` that is no exact proxy.

        Each proxy appends the address of its own peer to the header, so entries to the left of
        that address are claims of the client. None if there is no address.
        """
        address = parse_address(peer)
        if peer not in self:
            return address
        for value in reversed(forwarded.split(",")):
            entry = parse_address(value)
            if entry is None:
                break
            address = entry
            if address not in self._exact:
                break
        return address


def parse_address(text: str) -> Address | None:
    """Return the address in an entry of `X-Forwarded-For`, which may have a port; else None."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=8)
def proxies_of(values: tuple[str, ...]) -> TrustedProxies:
    return TrustedProxies(values)


def trusted_proxies() -> TrustedProxies:
    """The proxies of the settings."""
    return proxies_of(tuple(settings.TRUSTED_PROXIES))


def with_client_address(application: Application) -> Application:
    """Return `application` with the address of the client, not of the proxy, in its scopes."""
    proxies = trusted_proxies()

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        # Without an address when the client has reset the connection already: trusted by nobody.
        client = scope.get("client")
        if client and (peer := client[0]) in proxies:
            entries = [value for name, value in scope["headers"] if name == FORWARDED_FOR]
            if entries:
                host = proxies.client_host(peer, b",".join(entries).decode("latin-1"))
                scope["client"] = None if host is None else (host, 0)
        await application(scope, receive, send)

    return call
