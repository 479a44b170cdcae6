"""From where somebody changed something, as the audit log keeps it: nobody can choose that."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from auditlog.middleware import AuditlogMiddleware
from django.conf import settings
from django.http import HttpRequest

from config.env import split_list

Networks = tuple[IPv4Network | IPv6Network, ...]


class AuditMiddleware(AuditlogMiddleware):  # type: ignore[misc]
    """auditlog's own believes any `X-Forwarded-For`; this one those of our proxies alone."""

    def get_extra_data(self, request: HttpRequest) -> dict[str, Any]:
        address = client_address(
            request.META.get("REMOTE_ADDR", ""),
            forwarded=request.headers.get("x-forwarded-for", ""),
            trusted=networks_of(settings.TRUSTED_PROXIES),
        )
        told: dict[str, Any] = super().get_extra_data(request)
        return {**told, "remote_addr": address, "remote_port": None}


def client_address(peer: str, *, forwarded: str, trusted: Networks) -> str | None:
    """The nearest address that no proxy of ours has. None where that is no address.

    Each proxy adds on the right whom it saw; what stands left of the first stranger is hearsay.
    """
    address = address_of(peer)
    for told in reversed(forwarded.split(",")):
        if address is None or not any(address in network for network in trusted):
            break
        seen = address_of(told)
        if seen is None:
            break  # it told nothing legible: that it asked is all that is known
        address = seen
    return None if address is None else str(address)


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: bare, or with its port."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        return ip_address(bare)
    except ValueError:
        return None


@lru_cache(maxsize=8)
def networks_of(text: str) -> Networks:
    """The networks of a comma-separated list. Raises ValueError."""
    return tuple(ip_network(each, strict=False) for each in split_list(text))
