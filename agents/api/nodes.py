"""`/nodes`, `/node-tokens`: the processes of the platform, and their credentials. For operators."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from agents.models import AgentNode, NodeToken
from agents.models.node import NodeKind, NodeState
from agents.nodes import operations, tokens
from tenants.api.access import OperatorViewSet

MAX_USES = 1_000_000


class NodeSerializer(serializers.ModelSerializer[AgentNode]):
    """A node as of its last heartbeat. `slots` is null for gateways."""

    labels = serializers.DictField(child=serializers.CharField(), read_only=True)
    load = serializers.DictField(child=serializers.FloatField(), read_only=True)
    state = serializers.ChoiceField(choices=NodeState.choices, read_only=True)
    kind = serializers.ChoiceField(choices=NodeKind.choices, read_only=True)

    class Meta:
        model = AgentNode
        fields = (
            *("name", "kind", "state", "note", "worker", "host", "pod", "version", "zone"),
            *("labels", "capabilities", "weight", "slots", "runs", "sockets", "load"),
            *("started_at", "heartbeat_at", "stopped_at", "drain_requested_at"),
        )
        read_only_fields = fields


class NodeFilter(serializers.Serializer[Any]):
    """The query parameters of `/nodes`."""

    kind = serializers.ChoiceField(choices=NodeKind.choices, required=False)
    state = serializers.ChoiceField(choices=NodeState.choices, required=False)
    zone = serializers.CharField(max_length=63, required=False)
    name = serializers.CharField(max_length=100, required=False, help_text="Part of the name.")


class NodesViewSet(ListModelMixin, RetrieveModelMixin, OperatorViewSet[AgentNode]):
    serializer_class = NodeSerializer
    queryset = AgentNode.objects.order_by("-started_at", "-pk")
    lookup_field = "name"
    lookup_value_regex = r"[a-z0-9][a-z0-9.-]*"

    @extend_schema(parameters=[NodeFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List gateways and agent nodes, newest first; those that stopped for one more day."""
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: Any) -> Any:
        if self.action != "list":
            return queryset
        query = NodeFilter(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        lookups = {"name": "name__icontains"}
        chosen = query.validated_data.items()
        return queryset.filter(**{lookups.get(name, name): value for name, value in chosen})

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, name: str) -> Response:
        """Remove a node that is down. 409 `node_is_alive` for another one."""
        operations.remove_node(node=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=NodeSerializer)
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, name: str) -> Response:
        """Let the node take no new runs; those that it executes finish."""
        operations.request_drain(node=self.get_object())
        return self.show(self.get_object())

    @extend_schema(request=None, responses=NodeSerializer)
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, name: str) -> Response:
        """Cancel a drain."""
        operations.cancel_drain(node=self.get_object())
        return self.show(self.get_object())


class NodeTokenSerializer(serializers.ModelSerializer[NodeToken]):
    """A node token without its digest."""

    prefix = serializers.SerializerMethodField()

    class Meta:
        model = NodeToken
        fields = (
            *("id", "name", "prefix", "max_uses", "uses", "blocked_at", "last_used_at"),
            "created_at",
        )
        read_only_fields = fields

    @extend_schema_field(str)
    def get_prefix(self, token: NodeToken) -> str:
        return f"{tokens.NODE_TOKEN}_{token.public_id}"


class IssuedNodeTokenSerializer(NodeTokenSerializer):
    """A new node token with its text, which is returned only once."""

    token = serializers.CharField()

    class Meta:
        model = NodeToken
        fields = (*NodeTokenSerializer.Meta.fields, "token")
        read_only_fields = fields


class NewNodeTokenSerializer(serializers.Serializer[NodeToken]):
    name = serializers.CharField(max_length=100)
    max_uses = serializers.IntegerField(
        min_value=1,
        max_value=MAX_USES,
        required=False,
        allow_null=True,
        help_text="Maximum number of registrations. Absent: no limit.",
    )


class NodeTokensViewSet(ListModelMixin, RetrieveModelMixin, OperatorViewSet[NodeToken]):
    serializer_class = NodeTokenSerializer

    def get_queryset(self) -> QuerySet[NodeToken]:
        return NodeToken.objects.all()

    @extend_schema(request=NewNodeTokenSerializer, responses={201: IssuedNodeTokenSerializer})
    def create(self, request: Request) -> Response:
        """Create a node token. `token` is returned only once."""
        token, text = tokens.issue_node_token(**self.validated(NewNodeTokenSerializer))
        return self.show_new(token, token=text)

    @extend_schema(request=None, responses=NodeTokenSerializer)
    @action(detail=True, methods=["post"])
    def block(self, request: Request, pk: str) -> Response:
        """Block the token from now on, and drain the nodes that registered with it."""
        tokens.block_node_token(token=self.get_object(), now=timezone.now())
        return self.show(self.get_object())
