"""The brake on guessing passwords: from where somebody asks, and what who is locked out reads."""

from ipaddress import IPv6Address, ip_network
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from config.client_address import client_address

TOO_MANY = 429
OF_ONE_SITE = 64
"""Bits of an IPv6 address that a provider gives out; the others are the visitor's to choose."""


def visitors_address(request: HttpRequest) -> str | None:
    """Under which failures are counted. None if a local socket tells no address."""
    address = client_address(request)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, OF_ONE_SITE), strict=False).network_address)
    return None if address is None else str(address)


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
