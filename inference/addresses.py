"""Which addresses may be a model endpoint. Pure."""

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from inference.errors import AddressNotAllowed

NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
NUMBER = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)")
"""A host whose last label is a number is an IPv4 address in some spelling (WHATWG URL, 3.5)."""
LONGEST_ADDRESS = 300
LOOPBACK = IPv4Address("127.0.0.1")
METADATA = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"))
)
"""Where clouds keep the metadata of their machines, besides link-local addresses."""
METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data"})


def normalised_address(text: str, *, allow_loopback: bool) -> str:
    """The base URL of an engine in one spelling. Raises AddressNotAllowed with the reason.

    Private networks are where engines belong. Loopback is this machine, which is right only in the
    embedded stack; link-local addresses are where clouds keep the metadata of their machines.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise AddressNotAllowed("This is not a URL. It looks like http://10.0.0.5:8000.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise AddressNotAllowed("An address begins with http:// or https:// and names a host.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise AddressNotAllowed("An address holds no user, password, query or fragment.")
    name = parts.hostname.removesuffix(".")
    if name in METADATA_NAMES:
        raise AddressNotAllowed("This is where a cloud keeps the metadata of its machines.")
    address = ip_of(name)
    ensure_reachable(LOOPBACK if is_localhost(name) else address, allow_loopback=allow_loopback)
    host = f"[{address}]" if isinstance(address, IPv6Address) else str(address or name)
    netloc = f"{host}:{port}" if port else host
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{netloc}{path}"


def is_localhost(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def ip_of(host: str) -> IPv4Address | IPv6Address | None:
    """The IP address that a host spells, or None for a name. Raises AddressNotAllowed."""
    try:
        if ":" in host:
            return ip_address(host)
        if NAME.fullmatch(host) is None:
            raise AddressNotAllowed("The host is neither a name in ASCII nor an IP address.")
        # As the resolver reads it: 127.1, 0x7f000001 and 2130706433 are all 127.0.0.1.
        return ip_address(socket.inet_aton(host)) if NUMBER.fullmatch(host) else None
    except (ValueError, OSError):
        raise AddressNotAllowed("The host is not an IP address.") from None


def ensure_reachable(address: IPv4Address | IPv6Address | None, *, allow_loopback: bool) -> None:
    """Raises AddressNotAllowed. A name is not known to be anything here."""
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
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
    if address in METADATA:
        raise AddressNotAllowed("This is where a cloud keeps the metadata of its machines.")
    if (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    ):
        raise AddressNotAllowed(
            "Link-local, multicast, reserved and unspecified addresses are not allowed."
        )
