"""`/tokens`: what scripts of operators and tenants' people authenticate with."""

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
    """A token as its owner knows it again. Not its digest, which is also its primary key."""

    id = serializers.CharField(source="token_key", read_only=True)
    expires_at = serializers.DateTimeField(source="expiry", read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(source="created", read_only=True)

    class Meta:
        model = AuthToken
        fields = ("id", "created_at", "expires_at")


class IssuedTokenSerializer(TokenSerializer):
    """A new token with its text, this one time."""

    token = serializers.CharField()

    class Meta:
        model = AuthToken
        fields = (*TokenSerializer.Meta.fields, "token")


class TokenPages(ListPages):
    """By time: the primary key of a token is its digest, which no cursor may show."""

    ordering = ("-created", "-token_key")


WHOSE = OpenApiParameter(
    "user", str, description="Whose tokens are meant. Operators name anybody, others themselves."
)


@extend_schema_view(list=extend_schema(parameters=[WHOSE]))
class TokensViewSet(ListModelMixin, ApiViewSet[Any]):
    serializer_class = TokenSerializer
    pagination_class = TokenPages
    permission_classes = (IsAuthenticated,)
    lookup_field = "token_key"
    lookup_value_regex = r"[A-Za-z0-9_]+"

    def get_authenticators(self) -> list[Any]:
        """A token cannot make another one: whoever stole it would keep it for ever."""
        people = [PasswordAuthentication(), SessionAuthentication()]
        is_new = self.request is not None and self.request.method == "POST"
        return people if is_new else [OperatorTokenAuthentication(), *people]

    def get_queryset(self) -> QuerySet[Any]:
        whose: User | None = acting_user(self.request)
        name = self.request.query_params.get("user")
        if name is not None and name != acting_user(self.request).get_username():
            if not is_operator(self.request):
                raise Denied("Only operators see other people's tokens.")
            whose = User.objects.filter(username=name).first()
        rows: QuerySet[Any] = AuthToken.objects.filter(user=whose).select_related("user")
        return rows

    @extend_schema(request=None, responses={201: IssuedTokenSerializer})
    def create(self, request: Request) -> Response:
        """Make a token. `token` is shown this one time."""
        row, text = AuthToken.objects.create(user=request.user)
        return self.show_new(row, token=text)

    @extend_schema(parameters=[WHOSE], responses={204: None})
    def destroy(self, request: Request, token_key: str) -> Response:
        """Revoke a token by its id: one of yours, or for operators, one of `?user=`."""
        end_token(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
