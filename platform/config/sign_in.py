"""The brake on guessing passwords: from where somebody asks, and what who is locked out reads."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

TOO_MANY = 429
OF_ONE_SITE = 64
"""Bits of an IPv6 address that a provider gives out; the others are the visitor's to choose."""


def client_address(request: HttpRequest) -> str | None:
    """From where a request came to the first of the trusted proxies, or to us.

    What stands further left in `X-Forwarded-For` is the visitor's own invention. None if a local
    socket tells no address.
    """
    address = request.META.get("REMOTE_ADDR") or ""
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    while hops and is_trusted(address):
        before = hops.pop().strip()
        if in_one_spelling(before) is None:
            break
        address = before
    return in_one_spelling(address)


def is_trusted(address: str) -> bool:
    """Whether it is a proxy of ours, or the local socket of one."""
    trusted = settings.TRUSTED_PROXIES
    return not address or "*" in trusted or any(is_within(address, each) for each in trusted)


def is_within(address: str, network: str) -> bool:
    try:
        return ip_address(address) in ip_network(network)
    except ValueError:
        return False


def in_one_spelling(text: str) -> str | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, OF_ONE_SITE), strict=False).network_address)


def answer_locked_out(request: HttpRequest, _response: Any, _credentials: Any) -> HttpResponse:
    """The page in place of the login: when to try again, and who can help before."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    context = {
        **admin.site.each_context(request),
        "title": "Locked out",
        "minutes": seconds // 60,
        "most": settings.AXES_FAILURE_LIMIT,
    }
    answer = render(request, "console/locked_out.html", context, status=TOO_MANY)
    answer["Retry-After"] = str(seconds)
    return answer
