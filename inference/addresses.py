"""Validation of the addresses of model endpoints. Pure."""

import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from inference.errors import AddressNotAllowed
from kernel.egress.rules import METADATA, METADATA_NAMES, embedded_ipv4, is_public

NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
NUMBER = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)")
"""A host whose last label is a number is an IPv4 address (WHATWG URL, 3.5)."""
LOOPBACK = IPv4Address("127.0.0.1")


def normalised_address(text: str, *, allow_loopback: bool) -> str:
    """Return the normalised base URL of an engine. Raises AddressNotAllowed with the reason.

    Private networks are allowed. Loopback is only valid in the embedded stack; link-local
    addresses serve the metadata of cloud machines.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise AddressNotAllowed("This is not a URL. It looks like http://10.0.0.5:8000.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise AddressNotAllowed("An address begins with http:// or https:// and has a host.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise AddressNotAllowed("An address has no user, password, query or fragment.")
    name = parts.hostname.removesuffix(".")
    if name in METADATA_NAMES:
        raise AddressNotAllowed("This is the metadata service of a cloud.")
    address = ip_of(name)
    ensure_reachable(LOOPBACK if is_localhost(name) else address, allow_loopback=allow_loopback)
    host = f"[{address}]" if isinstance(address, IPv6Address) else str(address or name)
    netloc = f"{host}:{port}" if port else host
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{netloc}{path}"


def is_localhost(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def ip_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address of a host, or None for a name. Raises AddressNotAllowed."""
    try:
        if ":" in host:
            return ip_address(host)
        if NAME.fullmatch(host) is None:
            raise AddressNotAllowed("The host is neither a name in ASCII nor an IP address.")
        # As the resolver parses it: 127.1, 0x7f000001 and 2130706433 are all 127.0.0.1.
        return ip_address(socket.inet_aton(host)) if NUMBER.fullmatch(host) else None
    except (ValueError, OSError):
        raise AddressNotAllowed("The host is not an IP address.") from None


def ensure_reachable(address: IPv4Address | IPv6Address | None, *, allow_loopback: bool) -> None:
    """Raise AddressNotAllowed for addresses that may not be an endpoint. None is a name."""
    if isinstance(address, IPv6Address):
        address = embedded_ipv4(address) or address
    if address is None:
        return
    if address.is_loopback:
        if allow_loopback:
            return
        raise AddressNotAllowed(
            "Loopback addresses are allowed in the embedded stack only: other machines could not "
            "reach this endpoint. Use the address of a network interface, or set "
            "TENANTRY_LOOPBACK_ENDPOINTS if everything runs on this machine."
        )
    if (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    ):
        raise AddressNotAllowed(
            "Link-local, multicast, reserved and unspecified addresses are not allowed."
        )
    if address in METADATA:
        raise AddressNotAllowed("This is the metadata service of a cloud.")


def ensure_within(address: str, *, networks: Sequence[str]) -> None:
    """Raise AddressNotAllowed unless an engine may register at a normalised address.

    An engine with a join token receives the requests of a pool, so a public address must be in the
    `networks` of the pool. With networks a host name is rejected, as it may resolve to any address.
    """
    ip = ip_of(urlsplit(address).hostname or "")
    if not networks:
        if ip is not None and is_public(ip):
            raise AddressNotAllowed(
                "Engines may register at a public address only if the pool lists its network."
            )
    elif ip is None or not any(ip in ip_network(each, strict=False) for each in networks):
        raise AddressNotAllowed("This address is not in the networks that the pool lists.")
