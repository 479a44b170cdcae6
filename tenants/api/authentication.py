"""Authentication of users of the management API, by token or by password."""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from tenants.errors import LockedOut


class OperatorTokenAuthentication(TokenAuthentication):
    """Authenticates `Authorization: Bearer tno_…`."""

    def authenticate_credentials(self, token: bytes) -> Any:
        # Knox fails to decode other bytes, and PostgreSQL refuses NUL characters.
        if not token.isascii() or b"\0" in token:
            raise AuthenticationFailed
        return super().authenticate_credentials(token)


class PasswordAuthentication(BasicAuthentication):
    """Authenticates `Authorization: Basic …`, with the login lockout of the console."""

    def authenticate_credentials(
        self, userid: str, password: str, request: Request | None = None
    ) -> Any:
        """Return the user. Raises AuthenticationFailed, or LockedOut after too many attempts."""
        # django-axes sets an attribute of Django's request, not of DRF's wrapper.
        inner: Any = getattr(request, "_request", request)
        # No user name has this character; PostgreSQL would refuse a NUL before the attempt counts.
        name = userid.replace("\0", "\N{REPLACEMENT CHARACTER}")
        try:
            return super().authenticate_credentials(name, password, request=inner)
        except AuthenticationFailed:
            if getattr(inner, "axes_locked_out", False):
                raise LockedOut(retry_after=settings.AXES_COOLOFF_TIME.total_seconds()) from None
            raise


class OperatorTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes tokens in the OpenAPI document."""

    target_class = OperatorTokenAuthentication
    name = "operatorToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "tno_…"}


class PasswordScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes passwords in the OpenAPI document."""

    target_class = PasswordAuthentication
    name = "basicAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "basic"}
