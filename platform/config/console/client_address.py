"""The client's address in the console: for the audit log and the lockout of names."""

from typing import Any

from auditlog.middleware import AuditlogMiddleware
from django.http import HttpRequest

from config.trusted_proxies import Address, trusted_proxies


class AuditMiddleware(AuditlogMiddleware):  # type: ignore[misc]
    """auditlog's middleware with `X-Forwarded-For` of trusted proxies only."""

    def get_extra_data(self, request: HttpRequest) -> dict[str, Any]:
        address = client_address(request)
        value: dict[str, Any] = super().get_extra_data(request)
        return {
            **value,
            "remote_addr": None if address is None else str(address),
            "remote_port": None,
        }


def client_address(request: HttpRequest) -> Address | None:
    """Return the client's address. None if it is unknown."""
    return trusted_proxies().client_address(
        request.META.get("REMOTE_ADDR") or "",
        forwarded=request.headers.get("x-forwarded-for", ""),
    )
