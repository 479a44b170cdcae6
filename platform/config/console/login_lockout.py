"""The brake on guessing passwords: from where somebody asks, and what who is locked out reads."""

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
"""Of Django's user names."""
OF_ONE_SITE = 64
"""Bits of an IPv6 address that a provider gives out; the others are the visitor's to choose."""


def visitors_address(request: HttpRequest) -> str | None:
    """Under which failures are counted. None if a local socket tells no address."""
    address = client_address(request)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, OF_ONE_SITE), strict=False).network_address)
    return None if address is None else str(address)


def counted_name(_request: HttpRequest | None, credentials: dict[str, Any] | None) -> str | None:
    """Under which name failures are counted: the one that was typed, as long as names can be.

    A longer one is nobody's, and is counted by its beginning and a digest, since the column that
    failures are kept in is bounded.
    """
    name = (credentials or {}).get("username")
    if name is None:
        return None
    text = str(name).replace("\0", "\N{REPLACEMENT CHARACTER}")
    if len(text) <= MAX_NAME_CHARS:
        return text
    return f"{text[:MAX_NAME_CHARS]}#{sha256(text.encode(errors='replace')).hexdigest()[:16]}"


def answer_locked_out(request: HttpRequest, _response: Any, _credentials: Any) -> HttpResponse:
    """The page in place of the login: when to try again, and who can help before.

    A script gets the error of the management API.
    """
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    if is_for_programs(request):
        return answer_error(LockedOut(retry_after=seconds))
    context = {
        **admin.site.each_context(request),
        "title": "Locked out",
        "minutes": seconds // 60,
        "most": settings.AXES_FAILURE_LIMIT,
    }
    answer = render(request, "console/locked_out.html", context, status=TOO_MANY)
    answer["Retry-After"] = str(seconds)
    return answer
