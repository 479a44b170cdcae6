"""How scripts of operators and tenants' people say who they are."""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from tenants.errors import LockedOut


class OperatorTokenAuthentication(TokenAuthentication):
    """`Authorization: Bearer tno_…`."""

    def authenticate_credentials(self, token: bytes) -> Any:
        # Knox would fail at decoding other bytes, and PostgreSQL at a NUL.
        if not token.isascii() or b"\0" in token:
            raise AuthenticationFailed
        return super().authenticate_credentials(token)


class PasswordAuthentication(BasicAuthentication):
    """`Authorization: Basic …`, with the brake on guessing that the console's login has."""

    def authenticate_credentials(
        self, userid: str, password: str, request: Request | None = None
    ) -> Any:
        """Raises LockedOut after too many wrong passwords, and AuthenticationFailed."""
        # The brake marks the request that it is given: of DRF's the console would not hear.
        inner: Any = getattr(request, "_request", request)
        # No name holds one of these; PostgreSQL would fail at a NUL before the try was counted.
        name = userid.replace("\0", "\N{REPLACEMENT CHARACTER}")
        try:
            return super().authenticate_credentials(name, password, request=inner)
        except AuthenticationFailed:
            if getattr(inner, "axes_locked_out", False):
                raise LockedOut(retry_after=settings.AXES_COOLOFF_TIME.total_seconds()) from None
            raise


class OperatorTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the schema about these tokens."""

    target_class = OperatorTokenAuthentication
    name = "operatorToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "tno_…"}


class PasswordScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the schema about names and passwords."""

    target_class = PasswordAuthentication
    name = "basicAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "basic"}
