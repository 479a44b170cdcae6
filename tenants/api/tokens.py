"""`/tokens`: tokens with which scripts of users authenticate to the management API."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from knox.models import get_token_model
from rest_framework import serializers, status
from rest_framework.authentication import SessionAuthentication
from rest_framework.mixins import ListModelMixin
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.errors import Denied
from tenants.api.access import ApiViewSet, acting_user, is_operator
from tenants.api.authentication import OperatorTokenAuthentication, PasswordAuthentication
from tenants.api.pages import ListPages
from tenants.models import User
from tenants.operator_tokens import end_token

AuthToken = get_token_model()


class TokenSerializer(serializers.ModelSerializer[Any]):
    """A token without its digest, which is its primary key. `id` is the beginning of its text."""

    id = serializers.CharField(source="token_key", read_only=True)
    expires_at = serializers.DateTimeField(source="expiry", read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(source="created", read_only=True)

    class Meta:
        model = AuthToken
        fields = ("id", "created_at", "expires_at")


class IssuedTokenSerializer(TokenSerializer):
    """A new token with its text, which cannot be read again."""

    token = serializers.CharField()

    class Meta:
        model = AuthToken
        fields = (*TokenSerializer.Meta.fields, "token")


class TokenPages(ListPages):
    """Pages in order of time: the primary key is a digest, which cursors must not contain."""

    ordering = ("-created", "-token_key")


USER_PARAMETER = OpenApiParameter(
    "user", str, description="Owner of the tokens, by default you. Only operators name others."
)


@extend_schema_view(list=extend_schema(parameters=[USER_PARAMETER]))
class TokensViewSet(ListModelMixin, ApiViewSet[Any]):
    serializer_class = TokenSerializer
    pagination_class = TokenPages
    permission_classes = (IsAuthenticated,)
    lookup_field = "token_key"
    lookup_value_regex = r"[A-Za-z0-9_]+"

    def get_authenticators(self) -> list[Any]:
        """Return the authenticators. A token cannot create tokens, so that a stolen one expires."""
        people = [PasswordAuthentication(), SessionAuthentication()]
        is_new = self.request is not None and self.request.method == "POST"
        return people if is_new else [OperatorTokenAuthentication(), *people]

    def get_queryset(self) -> QuerySet[Any]:
        owner: User | None = acting_user(self.request)
        name = self.request.query_params.get("user")
        if name is not None and name != acting_user(self.request).get_username():
            if not is_operator(self.request):
                raise Denied("Only operators may read tokens of other users.")
            owner = User.objects.filter(username=name).first()
        rows: QuerySet[Any] = AuthToken.objects.filter(user=owner).select_related("user")
        return rows

    @extend_schema(request=None, responses={201: IssuedTokenSerializer})
    def create(self, request: Request) -> Response:
        """Create a token. `token` cannot be read again."""
        row, text = AuthToken.objects.create(user=request.user)
        return self.show_new(row, token=text)

    @extend_schema(parameters=[USER_PARAMETER], responses={204: None})
    def destroy(self, request: Request, token_key: str) -> Response:
        """Revoke one of your tokens by its id; operators also tokens of `?user=`."""
        end_token(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
