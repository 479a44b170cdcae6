"""Authentication of engines by join token."""

from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from inference.endpoints import join_tokens
from inference.errors import InvalidJoinToken
from inference.models import ModelPool

SCHEME = b"bearer"
PARTS = 2


class JoinTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer tnj_…`. There is no user; `request.auth` is the pool of the token."""

    def authenticate(self, request: Request) -> tuple[None, ModelPool]:
        parts = get_authorization_header(request).split()
        if len(parts) != PARTS or parts[0].lower() != SCHEME:
            raise InvalidJoinToken("Send `Authorization: Bearer <join token>`.")
        text = parts[1].decode("ascii", errors="replace")
        return None, join_tokens.pool_of_join_token(text, now=timezone.now())

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class OpensPool(BasePermission):
    """Allows requests with a valid join token."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, ModelPool)


class JoinTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes join tokens in the OpenAPI schema."""

    target_class = JoinTokenAuthentication
    name = "joinToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "tnj_…"}
