"""The client's address in the console: taken from trusted proxies only."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from auditlog.middleware import AuditlogMiddleware
from django.conf import settings
from django.http import HttpRequest

from config.env import split_list

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]

EVERYBODY = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class AuditMiddleware(AuditlogMiddleware):  # type: ignore[misc]
    """auditlog's own believes any `X-Forwarded-For`; this one those of our proxies alone."""

    def get_extra_data(self, request: HttpRequest) -> dict[str, Any]:
        address = client_address(request)
        value: dict[str, Any] = super().get_extra_data(request)
        return {
            **value,
            "remote_addr": None if address is None else str(address),
            "remote_port": None,
        }


def client_address(request: HttpRequest) -> Address | None:
    """The client's address, trusting TENANTRY_TRUSTED_PROXIES alone. None if it is unknown."""
    return address_behind(
        request.META.get("REMOTE_ADDR") or "",
        forwarded=request.headers.get("x-forwarded-for", ""),
        trusted=networks_of(settings.TRUSTED_PROXIES),
    )


def address_behind(peer: str, *, forwarded: str, trusted: Networks) -> Address | None:
    """The nearest address that no proxy of ours has. None where that is no address.

    Each proxy adds on the right whom it saw; what stands left of the first stranger is hearsay. A
    peer without address is a local socket, behind which only a proxy of ours can be.
    """
    address = address_of(peer)
    for value in reversed(forwarded.split(",")):
        if address is not None and not any(address in network for network in trusted):
            break
        seen = address_of(value)
        if seen is None:
            break  # it told nothing legible: that it asked is all that is known
        address = seen
    return address


def address_of(text: str) -> Address | None:
    """An address as proxies write it: bare, or with its port."""
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
def networks_of(text: str) -> Networks:
    """The networks of a comma-separated list, as uvicorn reads it: `*` is everybody, and what is
    no network is nobody.
    """
    networks: list[IPv4Network | IPv6Network] = []
    for each in split_list(text):
        try:
            networks += EVERYBODY if each == "*" else [ip_network(each, strict=False)]
        except ValueError:
            continue
    return tuple(networks)
