"""Lockout after wrong passwords: the address that is counted, and the lockout page."""

from hashlib import sha256
from ipaddress import IPv6Address, ip_network
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from config.api.conventions import answer_error, is_for_programs
from config.console.client_address import client_address
from tenants.errors import LockedOut

TOO_MANY = 429
MAX_NAME_CHARS = 150
"""Maximum length of Django's user names."""
IPV6_PREFIX_BITS = 64
"""Length of the prefix of IPv6 addresses that are counted together."""


def visitors_address(request: HttpRequest) -> str | None:
    """Return the address by which failures are counted. None for a local socket."""
    address = client_address(request)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX_BITS), strict=False).network_address)
    return None if address is None else str(address)


def counted_name(_request: HttpRequest | None, credentials: dict[str, Any] | None) -> str | None:
    """Return the user name by which failures are counted, within the maximum length.

    No user has a longer name. It is replaced by its beginning and a digest, because the column of
    failures is limited.
    """
    name = (credentials or {}).get("username")
    if name is None:
        return None
    text = str(name).replace("\0", "\N{REPLACEMENT CHARACTER}")
    if len(text) <= MAX_NAME_CHARS:
        return text
    return f"{text[:MAX_NAME_CHARS]}#{sha256(text.encode(errors='replace')).hexdigest()[:16]}"


def answer_locked_out(request: HttpRequest, _response: Any, _credentials: Any) -> HttpResponse:
    """Return the page of a locked-out user: when to try again, and who can unlock.

    Clients of the API get its error instead.
    """
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    if is_for_programs(request):
        return answer_error(LockedOut(retry_after=seconds))
    context = {
        **admin.site.each_context(request),
        "title": "Locked out",
        "minutes": seconds // 60,
        "max_failures": settings.AXES_FAILURE_LIMIT,
    }
    answer = render(request, "console/locked_out.html", context, status=TOO_MANY)
    answer["Retry-After"] = str(seconds)
    return answer
