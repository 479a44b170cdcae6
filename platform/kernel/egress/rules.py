"""The targets that `kernel.egress.client` may send requests to. Pure.

They prevent requests that are forged to reach internal servers (OWASP SSRF prevention): a target is
refused unless all its addresses are public, or the operator allows it.
"""

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import SplitResult, quote, urlsplit

import idna

from kernel.errors import Rejected

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

AS_IT_IS = "%/:=&?~+!$,;'@()*[]"
"""Characters of a path and query that are not quoted."""

PORTS = {"https": 443, "http": 80}
NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
NUMBER = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)")
"""A host whose last label is a number is an IPv4 address in some spelling (WHATWG URL, 3.5)."""
UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
"""Spaces, control characters, and the backslash, which some parsers read as a slash."""

UNICAST = IPv6Network("2000::/3")
"""The global unicast addresses of IPv6, without compatible and link-local addresses."""
NAT64 = IPv6Network("64:ff9b::/96")


METADATA = frozenset(
    map(
        ip_address,
        (
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle
            "169.254.169.254",
            "169.254.170.2",  # ECS
            "169.254.170.23",  # EKS
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",  # Google
            "fd00:42::42",  # Scaleway
        ),
    )
)
"""Metadata services of clouds, one of which has a public address."""
METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"}
)


class TargetRefused(Rejected):
    """Requests to this address are not allowed. It must be public, and begin with https://."""

    code = "target_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressTarget:
    """A parsed URL with a normalized host."""

    scheme: str
    host: str
    port: int
    path: str
    """The path with the query."""
    literal: Address | None
    """The address, if the host is not a name."""

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if isinstance(self.literal, IPv6Address) else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRules:
    """The rules of the operator."""

    ports: frozenset[int] = frozenset({443, 8443})
    http: bool = False
    """Whether unencrypted requests are allowed."""
    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    """Networks and host names that are allowed although they are not public."""

    def target(self, url: str) -> EgressTarget:
        """Raises TargetRefused for a URL that is refused for any address of its host."""
        parts = split(url)
        if parts.scheme not in ({"https", "http"} if self.http else {"https"}):
            raise TargetRefused
        host, literal = read_host(parts.hostname or "")
        port = parts.port if parts.port is not None else PORTS[parts.scheme]
        if port not in self.ports:
            raise TargetRefused(f"Requests to port {port} are not allowed. Use another one.")
        query = f"?{parts.query}" if parts.query else ""
        return EgressTarget(
            scheme=parts.scheme,
            host=host,
            port=port,
            path=quote((parts.path or "/") + query, safe=AS_IT_IS),
            literal=literal,
        )

    def ensure_allowed(self, target: EgressTarget, addresses: Iterable[Address]) -> None:
        """Raises TargetRefused unless all addresses of a target may be connected to."""
        if target.host in self.hosts:
            return
        for address in addresses:
            if not is_public(address) and not self.is_allowed(address):
                raise TargetRefused("Requests to networks that are not public are not allowed.")

    def is_allowed(self, address: Address) -> bool:
        inner = embedded_ipv4(address) or address
        return any(inner in network for network in self.networks)


def rules_of(
    *, allow: Iterable[str], ports: Iterable[int] = (443, 8443), http: bool = False
) -> EgressRules:
    """`allow` contains networks, addresses and host names. Raises ValueError for other texts."""
    networks: list[Network] = []
    hosts: list[str] = []
    for each in allow:
        if NAME.fullmatch(each.lower()) and not NUMBER.fullmatch(each.lower()):
            hosts.append(each.lower())
        else:
            networks.append(ip_network(each))
    return EgressRules(
        ports=frozenset(ports), http=http, networks=tuple(networks), hosts=frozenset(hosts)
    )


def split(url: str) -> SplitResult:
    """Raises TargetRefused for an invalid URL, or one that parsers read differently."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise TargetRefused("This is not a URL. It looks like https://example.org/path.") from None
    if UNSAFE.search(url):
        raise TargetRefused("A URL must not contain blanks or control characters.")
    if "@" in parts.netloc or "%" in parts.netloc:
        raise TargetRefused("A URL must not contain a user or a password.")
    return parts


def read_origin(url: str) -> str:
    """Return the normalized `https://host:port` of `url`, without a default port: two URLs with the
    same origin have the same server. Raises TargetRefused for an invalid URL.
    """
    parts = split(url)
    if parts.scheme not in PORTS:
        raise TargetRefused
    host, literal = read_host(parts.hostname or "")
    port = parts.port if parts.port is not None else PORTS[parts.scheme]
    target = EgressTarget(scheme=parts.scheme, host=host, port=port, path="", literal=literal)
    return target.url


def read_host(text: str) -> tuple[str, Address | None]:
    """Return a normalized host, and its address if it is one. Raises TargetRefused."""
    try:
        if ":" in text:
            address: Address = ip_address(text)
            return str(address), address
        host = in_ascii(text).removesuffix(".")
        if NUMBER.fullmatch(host):
            # As resolvers parse it: 127.1, 0x7f000001 and 2130706433 are all 127.0.0.1.
            address = IPv4Address(socket.inet_aton(host))
            return str(address), address
    except (ValueError, OSError):
        raise TargetRefused("The host is neither a name nor an address.") from None
    if NAME.fullmatch(host) is None:
        raise TargetRefused("The host is neither a name nor an address.")
    return host, None


def in_ascii(host: str) -> str:
    """Return an internationalized name in ASCII. Raises ValueError (a base of idna.IDNAError)."""
    return host.lower() if host.isascii() else idna.encode(host, uts46=True).decode()


def is_public(address: Address) -> bool:
    """Return whether an address, or the IPv4 address that it embeds, is public."""
    inner = embedded_ipv4(address)
    if inner is not None:
        return is_public(inner)
    if isinstance(address, IPv6Address) and address not in UNICAST:
        return False
    if address in METADATA:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def embedded_ipv4(address: Address) -> IPv4Address | None:
    """Return the IPv4 address to which an IPv6 address is routed: mapped, 6to4 or NAT64."""
    if isinstance(address, IPv4Address):
        return None
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
