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
from tenants.api_keys.bounds import Rank
from tenants.errors import KeyRestricted
from tenants.models import ApiKey, Membership
from tenants.models.api_key import Scope, validate_network

MAX_OVERLAP_SECONDS = 90 * 24 * 3600
MAX_LISTED = 1000
OWN_KEYS = (
    "A developer's keys are counted for that developer. Leave out member, or ask an admin to give "
    "the key to somebody else."
)


class KeySerializer(serializers.ModelSerializer[ApiKey]):
    """What may be known of a key. Not its digest."""

    tenant = serializers.SlugRelatedField[ApiKey](slug_field="slug", read_only=True)
    status = serializers.SerializerMethodField()
    blocked_by = serializers.SerializerMethodField()
    counted_as = serializers.IntegerField(
        help_text="The first of the keys that replaced each other; limits count them as that one."
    )

    class Meta:
        model = ApiKey
        fields = (
            *("id", "tenant", "name", "prefix", "status", "member", "scopes"),
            *("allowed_models", "allowed_networks", "expires_at", "blocked_at"),
            *("blocked_by", "last_used_at", "replaces", "counted_as", "created_at"),
        )
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=["active", "blocked", "expired"]))
    def get_status(self, key: ApiKey) -> str:
        return key.status(now=timezone.now())

    @extend_schema_field(
        serializers.ChoiceField(choices=["developer", "admin", "operator"], allow_null=True)
    )
    def get_blocked_by(self, key: ApiKey) -> str | None:
        """Only this role or a higher one unblocks it."""
        return Rank(key.blocked_by).name.lower() if key.blocked_by else None


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
        child=serializers.ChoiceField(choices=Scope.choices), max_length=MAX_LISTED, required=False
    )
    allowed_models = serializers.ListField(
        child=serializers.CharField(max_length=100), max_length=MAX_LISTED, required=False
    )
    allowed_networks = serializers.ListField(
        child=serializers.CharField(max_length=50, validators=[validate_network]),
        max_length=MAX_LISTED,
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
        max_value=MAX_OVERLAP_SECONDS,
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
        """Make a key. `secret` is shown this one time. A developer's key is counted for that
        developer.
        """
        tenant = self.tenant_meant()
        facts = self.validated(NewKeySerializer)
        member = self.ensure_own(facts.pop("member", self.holder()))
        issued = services.issue_key(tenant=tenant, member=member, by=self.rank, **facts)
        return self.show_new(issued.key, secret=issued.secret)

    @extend_schema(request=KeyChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what a key may be used for.

        What somebody with a higher role limited can be narrowed, not widened. Only admins and
        operators take a key from a member.
        """
        key = self.get_object()
        changes = self.validated(KeyChangesSerializer)
        if changes.get("member", key.member) != key.member:
            self.ensure_may_give(key, changes["member"])
        for name, value in changes.items():
            setattr(key, name, value)
        services.save_key(key=key, fields=changes.keys(), by=self.rank)
        return self.show(key)

    def holder(self) -> Membership | None:
        """For whom a key is counted of which nobody says it: the developer who asks."""
        return self.membership if self.rank == Rank.DEVELOPER else None

    def ensure_own(self, member: Membership | None) -> Membership | None:
        """Raises KeyRestricted for a developer who means somebody else, or nobody."""
        if self.rank == Rank.DEVELOPER and member != self.membership:
            raise KeyRestricted(OWN_KEYS)
        return member

    def ensure_may_give(self, key: ApiKey, member: Membership | None) -> None:
        """Raises KeyRestricted for a developer, except where one of no member becomes their own."""
        if key.member is not None and self.rank == Rank.DEVELOPER:
            raise KeyRestricted(OWN_KEYS)
        self.ensure_own(member)

    @extend_schema(request=None, responses=KeySerializer)
    @action(detail=True, methods=["post"])
    def block(self, request: Request, pk: str) -> Response:
        """Refuse the key within a second."""
        services.block_key(key=self.get_object(), now=timezone.now(), by=self.rank)
        return self.show(self.get_object())

    @extend_schema(request=None, responses=KeySerializer)
    @action(detail=True, methods=["post"])
    def unblock(self, request: Request, pk: str) -> Response:
        """Accept a blocked key again, unless somebody with a higher role has blocked it."""
        services.unblock_key(key=self.get_object(), by=self.rank)
        return self.show(self.get_object())

    @extend_schema(request=RotationSerializer, responses={201: IssuedKeySerializer})
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str) -> Response:
        """Replace the key: the new one works at once, the old one until the overlap is over.

        Both have the same limits and are counted together. A key that a developer rotates is
        counted for that developer from then on.
        """
        overlap = timedelta(seconds=self.validated(RotationSerializer)["overlap_seconds"])
        issued = services.rotate_key(
            key=self.get_object(),
            now=timezone.now(),
            overlap=overlap,
            holder=self.holder(),
            by=self.rank,
        )
        return self.show_new(issued.key, secret=issued.secret)
