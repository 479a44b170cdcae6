"""`/api-keys`: made and rotated with their text shown once, changed, blocked, unblocked."""

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from tenants import services
from tenants.api.access import WHICH_TENANT, TenantViewSet
from tenants.models import ApiKey, Membership
from tenants.models.api_key import Scope, validate_network

LONGEST_OVERLAP = 90 * 24 * 3600
MOST = 1000


class KeySerializer(serializers.ModelSerializer[ApiKey]):
    """What may be known of a key. Not its digest."""

    tenant = serializers.SlugRelatedField[ApiKey](slug_field="slug", read_only=True)
    status = serializers.SerializerMethodField()

    class Meta:
        model = ApiKey
        fields = (
            *("id", "tenant", "name", "prefix", "status", "member", "scopes"),
            *("allowed_models", "allowed_networks", "expires_at", "blocked_at"),
            *("last_used_at", "replaces", "created_at"),
        )
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=["active", "blocked", "expired"]))
    def get_status(self, key: ApiKey) -> str:
        return key.status(now=timezone.now())


class IssuedKeySerializer(KeySerializer):
    """A new key with its text, this one time."""

    secret = serializers.CharField()

    class Meta:
        model = ApiKey
        fields = (*KeySerializer.Meta.fields, "secret")
        read_only_fields = fields


@extend_schema_field(int)
class MemberField(serializers.PrimaryKeyRelatedField[Membership]):
    """A member of the tenant in scope; another tenant's does not exist."""

    def get_queryset(self) -> QuerySet[Membership]:
        return Membership.objects.all()


class KeyChangesSerializer(serializers.Serializer[ApiKey]):
    name = serializers.CharField(max_length=100, required=False)
    member = MemberField(required=False, allow_null=True)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices), max_length=MOST, required=False
    )
    allowed_models = serializers.ListField(
        child=serializers.CharField(max_length=100), max_length=MOST, required=False
    )
    allowed_networks = serializers.ListField(
        child=serializers.CharField(max_length=50, validators=[validate_network]),
        max_length=MOST,
        required=False,
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True)

    def validate_scopes(self, scopes: list[str]) -> list[str]:
        return sorted(set(scopes))


class NewKeySerializer(KeyChangesSerializer):
    name = serializers.CharField(max_length=100)


class RotationSerializer(serializers.Serializer[Any]):
    overlap_seconds = serializers.IntegerField(
        min_value=0,
        max_value=LONGEST_OVERLAP,
        default=int(services.ROTATION_OVERLAP.total_seconds()),
        help_text="How long the old key goes on working.",
    )


@extend_schema(parameters=[WHICH_TENANT])
class KeysViewSet(ListModelMixin, RetrieveModelMixin, TenantViewSet[ApiKey]):
    serializer_class = KeySerializer

    def get_queryset(self) -> QuerySet[ApiKey]:
        return ApiKey.objects.select_related("tenant")

    @extend_schema(request=NewKeySerializer, responses={201: IssuedKeySerializer})
    def create(self, request: Request) -> Response:
        """Make a key. `secret` is shown this one time."""
        tenant = self.tenant_meant()
        issued = services.issue_key(tenant=tenant, **self.told(NewKeySerializer))
        return self.show_new(issued.key, secret=issued.secret)

    @extend_schema(request=KeyChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what a key may be used for."""
        key = self.get_object()
        for name, value in self.told(KeyChangesSerializer).items():
            setattr(key, name, value)
        services.save_key(key=key)
        return self.show(key)

    @extend_schema(request=None, responses=KeySerializer)
    @action(detail=True, methods=["post"])
    def block(self, request: Request, pk: str) -> Response:
        """Refuse the key within a second."""
        services.block_key(key=self.get_object(), now=timezone.now())
        return self.show(self.get_object())

    @extend_schema(request=None, responses=KeySerializer)
    @action(detail=True, methods=["post"])
    def unblock(self, request: Request, pk: str) -> Response:
        """Accept a blocked key again."""
        services.unblock_key(key=self.get_object())
        return self.show(self.get_object())

    @extend_schema(request=RotationSerializer, responses={201: IssuedKeySerializer})
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str) -> Response:
        """Replace the key: the new one works at once, the old one until the overlap is over."""
        overlap = timedelta(seconds=self.told(RotationSerializer)["overlap_seconds"])
        issued = services.rotate_key(key=self.get_object(), now=timezone.now(), overlap=overlap)
        return self.show_new(issued.key, secret=issued.secret)
