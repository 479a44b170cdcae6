"""`/conversations` and `/erasures`: what was said, and that it is gone."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from agents.erasure import service as erasure
from agents.models import Conversation, ErasureReceipt, Item
from kernel.errors import InvalidParameter
from tenants.api.access import WHICH_TENANT, Role, TenantViewSet, acting_user


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    tenant = serializers.SlugRelatedField[Conversation](slug_field="slug", read_only=True)
    id = serializers.CharField(source="public_id", read_only=True)

    class Meta:
        model = Conversation
        fields: tuple[str, ...] = (
            *("id", "tenant", "agent", "revision", "metadata", "created_at", "changed_at"),
        )
        read_only_fields: tuple[str, ...] = fields


class CountedConversationSerializer(ConversationSerializer):
    """One conversation, with how much is in it."""

    items = serializers.IntegerField(source="item_count", read_only=True)
    runs = serializers.IntegerField(source="run_count", read_only=True)

    class Meta(ConversationSerializer.Meta):
        fields = (*ConversationSerializer.Meta.fields, "items", "runs")
        read_only_fields = fields


class ItemSerializer(serializers.ModelSerializer[Item]):
    """One item; `body` is what Open Responses writes."""

    id = serializers.CharField(source="public_id", read_only=True)
    run = serializers.SlugRelatedField[Item](
        slug_field="public_id", read_only=True, allow_null=True
    )

    class Meta:
        model = Item
        fields = ("id", "kind", "run", "is_input", "position", "body", "created_at")
        read_only_fields = fields


class ReceiptSerializer(serializers.ModelSerializer[ErasureReceipt]):
    """Of an erasure: counts, and no text."""

    id = serializers.CharField(source="public_id", read_only=True)
    tenant = serializers.SlugRelatedField[ErasureReceipt](slug_field="slug", read_only=True)

    class Meta:
        model = ErasureReceipt
        fields = (
            *("id", "tenant", "kind", "target", "requested_by", "counts"),
            *("erased_at", "finished_at"),
        )
        read_only_fields = fields


class ConversationFilter(serializers.Serializer[Any]):
    """What `/conversations` can be narrowed to."""

    agent = serializers.CharField(max_length=50, required=False)
    since = serializers.DateTimeField(required=False, help_text="Changed at that moment or later.")
    until = serializers.DateTimeField(required=False, help_text="Changed before that moment.")


class TenantErasureSerializer(serializers.Serializer[Any]):
    everything_of = serializers.SlugField(
        help_text="The tenant's short name once more, so that nobody erases by mistake."
    )


LOOKUPS = {"since": "changed_at__gte", "until": "changed_at__lt"}


class PrivateViewSet(TenantViewSet[Any]):
    """What people say is read by operators and by their own tenant's admins."""

    least_role_to_read = Role.ADMIN
    least_role_to_write = Role.ADMIN
    lookup_field = "public_id"
    lookup_value_regex = "[A-Za-z0-9_]+"

    def narrowed(
        self, form: type[serializers.Serializer[Any]], lookups: dict[str, str]
    ) -> dict[str, Any]:
        """What the address narrows a list to."""
        asked = form(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        return {lookups.get(name, name): value for name, value in asked.validated_data.items()}

    def who(self) -> str:
        """Who asks, as receipts and approvals remember it."""
        return acting_user(self.request).get_username()


@extend_schema(parameters=[WHICH_TENANT])
class ConversationsViewSet(ListModelMixin, RetrieveModelMixin, PrivateViewSet):
    serializer_class = ConversationSerializer

    def get_queryset(self) -> QuerySet[Conversation]:
        return Conversation.objects.select_related("tenant")

    @extend_schema(parameters=[WHICH_TENANT, ConversationFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Conversations by when they were begun, the newest first."""
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: Any) -> Any:
        if self.action != "list":
            return queryset
        return queryset.filter(**self.narrowed(ConversationFilter, LOOKUPS))

    @extend_schema(responses=CountedConversationSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One conversation, with how much is in it."""
        row = self.get_object()
        row.item_count = Item.objects.filter(conversation=row).count()
        row.run_count = row.runs.count()
        return Response(CountedConversationSerializer(row).data)

    @extend_schema(responses=ItemSerializer(many=True))
    @action(detail=True, methods=["get"])
    def items(self, request: Request, public_id: str) -> Response:
        """What was said, the newest first."""
        rows: Any = Item.objects.filter(conversation=self.get_object()).select_related("run")
        page: Any = self.paginate_queryset(rows)
        return self.get_paginated_response(ItemSerializer(page, many=True).data)

    @extend_schema(responses={200: ReceiptSerializer})
    def destroy(self, request: Request, public_id: str) -> Response:
        """Erase a conversation with all that belongs to it. Answers the receipt."""
        row = self.get_object()
        receipt = erasure.erase_conversation(
            row.tenant_id, conversation=row.public_id, by=self.who()
        )
        return Response(ReceiptSerializer(receipt).data)


@extend_schema(parameters=[WHICH_TENANT])
class ErasuresViewSet(ListModelMixin, RetrieveModelMixin, PrivateViewSet):
    serializer_class = ReceiptSerializer

    def get_queryset(self) -> QuerySet[ErasureReceipt]:
        return ErasureReceipt.objects.select_related("tenant")

    @extend_schema(request=TenantErasureSerializer, responses={202: ReceiptSerializer})
    def create(self, request: Request) -> Response:
        """Erase everything that a tenant's conversations and runs hold, within a minute."""
        tenant = self.tenant_meant()
        if self.validated(TenantErasureSerializer)["everything_of"] != tenant.slug:
            raise InvalidParameter("This is not the tenant's short name.", param="everything_of")
        receipt = erasure.begin_to_erase_tenant(tenant.pk, by=self.who())
        return Response(ReceiptSerializer(receipt).data, status=status.HTTP_202_ACCEPTED)
