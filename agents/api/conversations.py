"""`/conversations` and `/erasures`: transcripts, and receipts of erasures."""

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
    """A conversation with the number of its items and runs."""

    items = serializers.IntegerField(source="item_count", read_only=True)
    runs = serializers.IntegerField(source="run_count", read_only=True)

    class Meta(ConversationSerializer.Meta):
        fields = (*ConversationSerializer.Meta.fields, "items", "runs")
        read_only_fields = fields


class ItemSerializer(serializers.ModelSerializer[Item]):
    """An item. `body` is the item in the format of Open Responses."""

    id = serializers.CharField(source="public_id", read_only=True)
    run = serializers.SlugRelatedField[Item](
        slug_field="public_id", read_only=True, allow_null=True
    )

    class Meta:
        model = Item
        fields = ("id", "kind", "run", "is_input", "position", "body", "created_at")
        read_only_fields = fields


class ReceiptSerializer(serializers.ModelSerializer[ErasureReceipt]):
    """The receipt of an erasure. It has counts, but no content."""

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
    """The query parameters of `/conversations`."""

    agent = serializers.CharField(max_length=50, required=False)
    since = serializers.DateTimeField(
        required=False, help_text="Only conversations changed at this time or later."
    )
    until = serializers.DateTimeField(
        required=False, help_text="Only conversations changed before this time."
    )


class TenantErasureSerializer(serializers.Serializer[Any]):
    everything_of = serializers.SlugField(
        help_text="Repeat the tenant's short name to confirm the erasure."
    )


LOOKUPS = {"since": "changed_at__gte", "until": "changed_at__lt"}


class PrivateViewSet(TenantViewSet[Any]):
    """Conversations and runs: only operators and the tenant's own admins have access."""

    min_role_to_read = Role.ADMIN
    min_role_to_write = Role.ADMIN
    lookup_field = "public_id"
    lookup_value_regex = "[A-Za-z0-9_]+"

    def filters_of(
        self, form: type[serializers.Serializer[Any]], lookups: dict[str, str]
    ) -> dict[str, Any]:
        """The filters of the query string."""
        filters = form(data=self.request.query_params)
        filters.is_valid(raise_exception=True)
        return {lookups.get(name, name): value for name, value in filters.validated_data.items()}

    def requester(self) -> str:
        """The requester's name, as receipts and approvals store it."""
        return acting_user(self.request).get_username()


@extend_schema(parameters=[WHICH_TENANT])
class ConversationsViewSet(ListModelMixin, RetrieveModelMixin, PrivateViewSet):
    serializer_class = ConversationSerializer

    def get_queryset(self) -> QuerySet[Conversation]:
        return Conversation.objects.select_related("tenant")

    @extend_schema(parameters=[WHICH_TENANT, ConversationFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List conversations by creation time, newest first."""
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: Any) -> Any:
        if self.action != "list":
            return queryset
        return queryset.filter(**self.filters_of(ConversationFilter, LOOKUPS))

    @extend_schema(responses=CountedConversationSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A conversation with the number of its items and runs."""
        row = self.get_object()
        row.item_count = Item.objects.filter(conversation=row).count()
        row.run_count = row.runs.count()
        return Response(CountedConversationSerializer(row).data)

    @extend_schema(responses=ItemSerializer(many=True))
    @action(detail=True, methods=["get"])
    def items(self, request: Request, public_id: str) -> Response:
        """List the items of a conversation, newest first."""
        rows: Any = Item.objects.filter(conversation=self.get_object()).select_related("run")
        page: Any = self.paginate_queryset(rows)
        return self.get_paginated_response(ItemSerializer(page, many=True).data)

    @extend_schema(responses={200: ReceiptSerializer})
    def destroy(self, request: Request, public_id: str) -> Response:
        """Erase a conversation with its items and runs. Returns the receipt."""
        row = self.get_object()
        receipt = erasure.erase_conversation(
            row.tenant_id, conversation=row.public_id, by=self.requester()
        )
        return Response(ReceiptSerializer(receipt).data)


@extend_schema(parameters=[WHICH_TENANT])
class ErasuresViewSet(ListModelMixin, RetrieveModelMixin, PrivateViewSet):
    serializer_class = ReceiptSerializer

    def get_queryset(self) -> QuerySet[ErasureReceipt]:
        return ErasureReceipt.objects.select_related("tenant")

    @extend_schema(request=TenantErasureSerializer, responses={202: ReceiptSerializer})
    def create(self, request: Request) -> Response:
        """Erase all conversations and runs of a tenant within a minute. Returns the receipt."""
        tenant = self.target_tenant()
        if self.validated(TenantErasureSerializer)["everything_of"] != tenant.slug:
            raise InvalidParameter("This is not the tenant's short name.", param="everything_of")
        receipt = erasure.request_tenant_erasure(tenant.pk, by=self.requester())
        return Response(ReceiptSerializer(receipt).data, status=status.HTTP_202_ACCEPTED)
