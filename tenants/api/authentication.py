"""How scripts of operators and tenants' people say who they are."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed


class OperatorTokenAuthentication(TokenAuthentication):
    """`Authorization: Bearer tno_…`."""

    def authenticate_credentials(self, token: bytes) -> Any:
        # Knox would fail at decoding other bytes, and PostgreSQL at a NUL.
        if not token.isascii() or b"\0" in token:
            raise AuthenticationFailed
        return super().authenticate_credentials(token)


class OperatorTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the schema about these tokens."""

    target_class = OperatorTokenAuthentication
    name = "operatorToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "tno_…"}
