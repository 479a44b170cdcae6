"""`/endpoints`, `/join-tokens`: the servers of a pool, and what lets them join. For operators."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from inference.endpoints import join_tokens
from inference.endpoints import manual as static_endpoints
from inference.endpoints import states as endpoint_states
from inference.endpoints.breaker_override import AUTOMATIC, CLOSED, OPEN, force_breaker
from inference.models import JoinToken, ModelEndpoint, ModelPool
from inference.probes.result import ask_now
from tenants.api.access import OperatorViewSet

MAX_COUNT = 100_000
BREAKER = (
    (AUTOMATIC, "automatic"),
    (OPEN, "open: left out"),
    (CLOSED, "closed: used whatever happens"),
)


class EndpointSerializer(serializers.ModelSerializer[ModelEndpoint]):
    """A server as operators see it. Not its credential."""

    id = serializers.CharField(source="public_id", read_only=True)
    pool = serializers.SlugRelatedField[ModelEndpoint](slug_field="name", read_only=True)
    breaker = serializers.ChoiceField(
        source="forced",
        choices=BREAKER,
        read_only=True,
        help_text="What an operator wants of it; empty: it opens and closes by itself.",
    )

    class Meta:
        model = ModelEndpoint
        fields = (
            *("id", "pool", "address", "model", "state", "breaker", "registered"),
            *("max_concurrency", "weight", "zone", "capabilities", "engine_version"),
            *("heartbeat_at", "running", "waiting", "kv_cache_used", "created_at"),
        )
        read_only_fields = fields


class EndpointChangesSerializer(serializers.Serializer[ModelEndpoint]):
    address = serializers.CharField(max_length=300, required=False)
    model = serializers.CharField(max_length=200, required=False)
    credential = serializers.CharField(
        max_length=1000,
        required=False,
        allow_blank=True,
        write_only=True,
        help_text="The server's own API key. Left out: it is kept. Empty: it is forgotten.",
    )
    max_concurrency = serializers.IntegerField(min_value=1, max_value=MAX_COUNT, required=False)
    weight = serializers.IntegerField(
        min_value=1,
        max_value=1000,
        required=False,
        help_text="Its share of the requests, where the pool's strategy goes by weights.",
    )
    zone = serializers.CharField(max_length=50, required=False, allow_blank=True)
    capabilities = serializers.ListField(
        child=serializers.CharField(max_length=50),
        max_length=50,
        required=False,
        help_text="Such as tools or vision.",
    )


class NewEndpointSerializer(EndpointChangesSerializer):
    pool = serializers.SlugRelatedField[ModelPool](
        slug_field="name", queryset=ModelPool.objects.all()
    )
    address = serializers.CharField(max_length=300)
    model = serializers.CharField(max_length=200)


class BreakerSerializer(serializers.Serializer[Any]):
    breaker = serializers.ChoiceField(choices=BREAKER, help_text="Empty: back to automatic.")
    reason = serializers.CharField(
        max_length=200,
        required=False,
        default="",
        allow_blank=True,
        help_text="Why. It goes into the audit log, and only going back to automatic needs none.",
    )


class ProbeSerializer(serializers.Serializer[Any]):
    """What came of a probe."""

    healthy = serializers.BooleanField()
    detail = serializers.CharField()
    milliseconds = serializers.FloatField()


class EndpointsViewSet(ListModelMixin, RetrieveModelMixin, OperatorViewSet[ModelEndpoint]):
    serializer_class = EndpointSerializer
    queryset = ModelEndpoint.objects.select_related("pool").defer("credential")
    lookup_field = "public_id"
    lookup_value_regex = r"[A-Za-z0-9]+"

    @extend_schema(request=NewEndpointSerializer, responses={201: EndpointSerializer})
    def create(self, request: Request) -> Response:
        """Enter a server by hand."""
        return self.show_new(
            static_endpoints.add_static_endpoint(**self.validated(NewEndpointSerializer))
        )

    @extend_schema(request=EndpointChangesSerializer)
    def partial_update(self, request: Request, public_id: str) -> Response:
        """Change an endpoint; gateways follow within a second."""
        endpoint = self.get_object()
        for name, value in self.validated(EndpointChangesSerializer).items():
            setattr(endpoint, name, value)
        static_endpoints.save_endpoint(endpoint=endpoint)
        return self.show(endpoint)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, public_id: str) -> Response:
        """Take an endpoint out at once. To let it finish what runs, drain it first."""
        static_endpoints.delete_endpoint(endpoint=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=EndpointSerializer)
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, public_id: str) -> Response:
        """Give the endpoint no new requests; what runs finishes."""
        endpoint_states.drain_endpoint(endpoint=self.get_object())
        return self.show(self.get_object())

    @extend_schema(request=None, responses=EndpointSerializer)
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, public_id: str) -> Response:
        """Give a draining endpoint requests again."""
        endpoint_states.activate_endpoint(endpoint=self.get_object())
        return self.show(self.get_object())

    @extend_schema(request=BreakerSerializer, responses=EndpointSerializer)
    @action(detail=True, methods=["post"])
    def breaker(self, request: Request, public_id: str) -> Response:
        """Force the endpoint's breaker open or closed, or let it go by itself again."""
        force_breaker(endpoint=self.get_object(), **self.validated(BreakerSerializer))
        return self.show(self.get_object())

    @extend_schema(request=None, responses=ProbeSerializer)
    @action(detail=True, methods=["post"])
    def probe(self, request: Request, public_id: str) -> Response:
        """Ask the endpoint now whether it lives, and tell what it answered."""
        return Response(ProbeSerializer(ask_now(self.get_object())).data)


class JoinTokenSerializer(serializers.ModelSerializer[JoinToken]):
    """What may be known of a join token. Not its digest."""

    pool = serializers.SlugRelatedField[JoinToken](slug_field="name", read_only=True)
    prefix = serializers.SerializerMethodField()

    class Meta:
        model = JoinToken
        fields = ("id", "name", "pool", "prefix", "blocked_at", "last_used_at", "created_at")
        read_only_fields = fields

    @extend_schema_field(str)
    def get_prefix(self, token: JoinToken) -> str:
        return f"{join_tokens.JOIN_TOKEN}_{token.public_id}"


class IssuedJoinTokenSerializer(JoinTokenSerializer):
    """A new join token with its text, this one time."""

    token = serializers.CharField()

    class Meta:
        model = JoinToken
        fields = (*JoinTokenSerializer.Meta.fields, "token")
        read_only_fields = fields


class NewJoinTokenSerializer(serializers.Serializer[JoinToken]):
    name = serializers.CharField(max_length=100)
    pool = serializers.SlugRelatedField[ModelPool](
        slug_field="name", queryset=ModelPool.objects.all()
    )


class JoinTokensViewSet(ListModelMixin, RetrieveModelMixin, OperatorViewSet[JoinToken]):
    serializer_class = JoinTokenSerializer

    def get_queryset(self) -> QuerySet[JoinToken]:
        return JoinToken.objects.select_related("pool")

    @extend_schema(request=NewJoinTokenSerializer, responses={201: IssuedJoinTokenSerializer})
    def create(self, request: Request) -> Response:
        """Make a join token. `token` is shown this one time."""
        token, text = join_tokens.issue_join_token(**self.validated(NewJoinTokenSerializer))
        return self.show_new(token, token=text)

    @extend_schema(request=None, responses=JoinTokenSerializer)
    @action(detail=True, methods=["post"])
    def block(self, request: Request, pk: str) -> Response:
        """Refuse the token from now on."""
        join_tokens.block_join_token(token=self.get_object(), now=timezone.now())
        return self.show(self.get_object())
