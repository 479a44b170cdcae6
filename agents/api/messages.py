"""`/messages`, `/topics` and `/dead-letters`: messages to agents, and the replay of deliveries."""

from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.conversations import PrivateViewSet
from agents.messages.services import replay_delivery
from agents.messages.topics import list_topics
from agents.models import AgentMessage, Delivery
from agents.models.message import DeliveryState
from tenants.api.access import WHICH_TENANT, TenantViewSet


class DeliveryErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """A message for one receiver."""

    id = serializers.CharField(source="public_id", read_only=True)
    run = serializers.SlugRelatedField[Delivery](
        slug_field="public_id", read_only=True, allow_null=True
    )
    error = serializers.SerializerMethodField()

    class Meta:
        model = Delivery
        fields: tuple[str, ...] = (
            *("id", "agent", "state", "attempts", "replays", "run", "error", "next_attempt_at"),
            *("ended_at", "created_at"),
        )
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(DeliveryErrorSerializer(allow_null=True))
    def get_error(self, delivery: Delivery) -> dict[str, str] | None:
        if not delivery.error_code:
            return None
        return {"code": delivery.error_code, "message": delivery.error_message}


class DeadLetterSerializer(DeliverySerializer):
    """A delivery with its message."""

    tenant = serializers.SlugRelatedField[Delivery](slug_field="slug", read_only=True)
    message = serializers.SlugRelatedField[Delivery](slug_field="public_id", read_only=True)
    sender = serializers.CharField(source="message.sender", read_only=True)
    topic = serializers.CharField(source="message.topic", read_only=True)
    content = serializers.CharField(source="message.content", read_only=True)

    class Meta(DeliverySerializer.Meta):
        fields = (
            *DeliverySerializer.Meta.fields,
            *("tenant", "message", "sender", "topic", "content"),
        )
        read_only_fields = fields


class MessageSerializer(serializers.ModelSerializer[AgentMessage]):
    """A message, without its deliveries."""

    id = serializers.CharField(source="public_id", read_only=True)
    tenant = serializers.SlugRelatedField[AgentMessage](slug_field="slug", read_only=True)
    api_key = serializers.IntegerField(source="api_key_id", read_only=True, allow_null=True)

    class Meta:
        model = AgentMessage
        fields: tuple[str, ...] = (
            *("id", "tenant", "api_key", "sender", "topic", "content", "hops", "correlation_id"),
            *("message_id", "metadata", "created_at"),
        )
        read_only_fields: tuple[str, ...] = fields


class DeliveredMessageSerializer(MessageSerializer):
    """A message with its deliveries."""

    deliveries = DeliverySerializer(many=True, read_only=True)

    class Meta(MessageSerializer.Meta):
        fields = (*MessageSerializer.Meta.fields, "deliveries")
        read_only_fields = fields


class TopicSerializer(serializers.Serializer[Any]):
    """A topic with its subscribers."""

    tenant = serializers.CharField()
    name = serializers.CharField()
    subscribers = serializers.ListField(
        child=serializers.CharField(), help_text="The agents that subscribe to it."
    )
    messages_last_hour = serializers.IntegerField(source="messages")
    last_message_at = serializers.DateTimeField(
        allow_null=True, help_text="The last message within the last hour."
    )


class TopicListSerializer(serializers.Serializer[Any]):
    """The only page of topics."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = TopicSerializer(many=True)


class TopicFilter(serializers.Serializer[Any]):
    """The query parameters of `/topics`."""

    prefix = serializers.CharField(
        max_length=63, required=False, help_text="Only topics whose name begins so."
    )


class MessageFilter(serializers.Serializer[Any]):
    """The query parameters of `/messages`."""

    agent = serializers.CharField(max_length=50, required=False, help_text="The receiver.")
    sender = serializers.CharField(max_length=50, required=False)
    topic = serializers.CharField(max_length=63, required=False)
    state = serializers.ChoiceField(
        choices=DeliveryState.choices,
        required=False,
        help_text="Only messages of which a delivery has this state.",
    )
    since = serializers.DateTimeField(
        required=False, help_text="Only messages sent at this time or later."
    )
    until = serializers.DateTimeField(
        required=False, help_text="Only messages sent before this time."
    )


class DeadLetterFilter(serializers.Serializer[Any]):
    """The query parameters of `/dead-letters`."""

    agent = serializers.CharField(max_length=50, required=False)
    error_code = serializers.CharField(max_length=64, required=False)


LOOKUPS = {"since": "created_at__gte", "until": "created_at__lt"}
DELIVERY_LOOKUPS = frozenset({"agent", "state"})


@extend_schema(parameters=[WHICH_TENANT])
class MessagesViewSet(ListModelMixin, RetrieveModelMixin, PrivateViewSet):
    serializer_class = MessageSerializer

    def get_queryset(self) -> QuerySet[AgentMessage]:
        return AgentMessage.objects.select_related("tenant")

    @extend_schema(parameters=[WHICH_TENANT, MessageFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List messages, newest first."""
        return super().list(request, *args, **kwargs)

    @extend_schema(responses=DeliveredMessageSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A message with its deliveries."""
        return Response(DeliveredMessageSerializer(self.get_object()).data)

    def filter_queryset(self, queryset: Any) -> Any:
        if self.action != "list":
            runs = Delivery.objects.select_related("run").defer("run__checkpoint").order_by("pk")
            return queryset.prefetch_related(Prefetch("deliveries", queryset=runs))
        filters = self.filters_of(MessageFilter, LOOKUPS)
        of_deliveries = {name: filters.pop(name) for name in DELIVERY_LOOKUPS & filters.keys()}
        if of_deliveries:
            # One condition on one delivery, without repeating the messages of a topic.
            filters["pk__in"] = Delivery.objects.filter(**of_deliveries).values("message")
        return queryset.filter(**filters)


@extend_schema(parameters=[WHICH_TENANT])
class TopicsViewSet(TenantViewSet[Any]):
    serializer_class = TopicSerializer
    pagination_class = None

    def get_queryset(self) -> QuerySet[AgentMessage]:
        return AgentMessage.objects.none()

    @extend_schema(parameters=[WHICH_TENANT, TopicFilter], responses=TopicListSerializer)
    def list(self, request: Request) -> Response:
        """List topics by name, with their subscribers and the messages of the last hour.

        The list is one page of at most 500; `prefix` narrows it.
        """
        chosen = TopicFilter(data=request.query_params)
        chosen.is_valid(raise_exception=True)
        topics = list_topics(now=timezone.now(), prefix=chosen.validated_data.get("prefix", ""))
        return Response(
            TopicListSerializer({"next": None, "previous": None, "results": topics}).data
        )


@extend_schema(parameters=[WHICH_TENANT])
class DeadLettersViewSet(ListModelMixin, RetrieveModelMixin, PrivateViewSet):
    serializer_class = DeadLetterSerializer

    def get_queryset(self) -> QuerySet[Delivery]:
        rows = Delivery.objects.select_related("tenant", "message", "run").order_by("-pk")
        return rows.defer("run__checkpoint")

    @extend_schema(parameters=[WHICH_TENANT, DeadLetterFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List dead letters, newest first."""
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: Any) -> Any:
        if self.action != "list":
            return queryset
        filters = self.filters_of(DeadLetterFilter, {})
        return queryset.filter(state=DeliveryState.DEAD, **filters)

    @extend_schema(request=None, responses=DeadLetterSerializer)
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, public_id: str) -> Response:
        """Attempt a dead letter again, with as many attempts as a new delivery."""
        replay_delivery(delivery=self.get_object())
        return self.show(self.get_object())
