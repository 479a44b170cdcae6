"""`/api-keys`: create, change, rotate, block and unblock keys. Only new keys have their text."""

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
    "Keys of a developer belong to that developer. Leave out `member`, or ask an admin to assign "
    "the key to another member."
)


class KeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key, without its digest."""

    tenant = serializers.SlugRelatedField[ApiKey](slug_field="slug", read_only=True)
    status = serializers.SerializerMethodField()
    blocked_by = serializers.SerializerMethodField()
    counted_as = serializers.IntegerField(
        help_text="Id of the first key of the chain of rotations, by which limits count all its "
        "keys."
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
        """The role that blocked the key. A lower role cannot unblock it."""
        return Rank(key.blocked_by).name.lower() if key.blocked_by else None


class IssuedKeySerializer(KeySerializer):
    """A new key with its text, which cannot be read again."""

    secret = serializers.CharField()

    class Meta:
        model = ApiKey
        fields = (*KeySerializer.Meta.fields, "secret")
        read_only_fields = fields


@extend_schema_field(int)
class MemberField(serializers.PrimaryKeyRelatedField[Membership]):
    """A member of the tenant in scope."""

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
        help_text="Time until the old key expires.",
    )


@extend_schema(parameters=[WHICH_TENANT])
class KeysViewSet(ListModelMixin, RetrieveModelMixin, TenantViewSet[ApiKey]):
    serializer_class = KeySerializer

    def get_queryset(self) -> QuerySet[ApiKey]:
        return ApiKey.objects.select_related("tenant")

    @extend_schema(request=NewKeySerializer, responses={201: IssuedKeySerializer})
    def create(self, request: Request) -> Response:
        """Create a key, whose `secret` cannot be read again. A developer's key is their own."""
        tenant = self.target_tenant()
        facts = self.validated(NewKeySerializer)
        member = self.ensure_own(facts.pop("member", self.holder()))
        issued = services.issue_key(tenant=tenant, member=member, by=self.rank, **facts)
        return self.show_new(issued.key, secret=issued.secret)

    @extend_schema(request=KeyChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a key.

        Restrictions by a user with a higher role can be narrowed but not widened. Only admins and
        operators can assign the key of a member to another one.
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
        """Return the default member of a key: the developer who sends the request, else None."""
        return self.membership if self.rank == Rank.DEVELOPER else None

    def ensure_own(self, member: Membership | None) -> Membership | None:
        """Return the member. Raises KeyRestricted if a developer selects another one, or none."""
        if self.rank == Rank.DEVELOPER and member != self.membership:
            raise KeyRestricted(OWN_KEYS)
        return member

    def ensure_may_give(self, key: ApiKey, member: Membership | None) -> None:
        """Raise KeyRestricted for a developer, unless a key without a member becomes their own."""
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
        """Accept a blocked key again, unless a user with a higher role has blocked it."""
        services.unblock_key(key=self.get_object(), by=self.rank)
        return self.show(self.get_object())

    @extend_schema(request=RotationSerializer, responses={201: IssuedKeySerializer})
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str) -> Response:
        """Replace the key: the new one is valid at once, the old one until the overlap ends.

        Both have the same limits and are counted together. The new key of a developer belongs to
        that developer.
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
