"""`/endpoints`, `/join-tokens`: the servers of a pool, and their credentials. For operators."""

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
from inference.probes.result import probe_endpoint
from tenants.api.access import OperatorViewSet

MAX_COUNT = 100_000
BREAKER = (
    (AUTOMATIC, "automatic"),
    (OPEN, "open: gets no requests"),
    (CLOSED, "closed: gets requests even if they fail"),
)


class EndpointSerializer(serializers.ModelSerializer[ModelEndpoint]):
    """An endpoint without its credential."""

    id = serializers.CharField(source="public_id", read_only=True)
    pool = serializers.SlugRelatedField[ModelEndpoint](slug_field="name", read_only=True)
    breaker = serializers.ChoiceField(
        source="breaker_override",
        choices=BREAKER,
        read_only=True,
        help_text="Override by an operator. Empty: automatic.",
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
        help_text="The server's own API key. Absent: unchanged. Empty: deleted.",
    )
    max_concurrency = serializers.IntegerField(min_value=1, max_value=MAX_COUNT, required=False)
    weight = serializers.IntegerField(
        min_value=1,
        max_value=1000,
        required=False,
        help_text="Share of the requests, for the weighted strategies.",
    )
    zone = serializers.CharField(max_length=50, required=False, allow_blank=True)
    capabilities = serializers.ListField(
        child=serializers.CharField(max_length=50),
        max_length=50,
        required=False,
        help_text="For example tools or vision.",
    )


class NewEndpointSerializer(EndpointChangesSerializer):
    pool = serializers.SlugRelatedField[ModelPool](
        slug_field="name", queryset=ModelPool.objects.all()
    )
    address = serializers.CharField(max_length=300)
    model = serializers.CharField(max_length=200)


class BreakerSerializer(serializers.Serializer[Any]):
    breaker = serializers.ChoiceField(choices=BREAKER, help_text="Empty: automatic.")
    reason = serializers.CharField(
        max_length=200,
        required=False,
        default="",
        allow_blank=True,
        help_text="Reason, stored in the audit log. Not required for automatic.",
    )


class ProbeSerializer(serializers.Serializer[Any]):
    """The result of a probe."""

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
        """Add a static endpoint."""
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
        """Delete an endpoint at once. Drain it first to let running requests finish."""
        static_endpoints.delete_endpoint(endpoint=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=EndpointSerializer)
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, public_id: str) -> Response:
        """Send no new requests to the endpoint; running ones finish."""
        endpoint_states.drain_endpoint(endpoint=self.get_object())
        return self.show(self.get_object())

    @extend_schema(request=None, responses=EndpointSerializer)
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, public_id: str) -> Response:
        """Send requests to a draining endpoint again."""
        endpoint_states.activate_endpoint(endpoint=self.get_object())
        return self.show(self.get_object())

    @extend_schema(request=BreakerSerializer, responses=EndpointSerializer)
    @action(detail=True, methods=["post"])
    def breaker(self, request: Request, public_id: str) -> Response:
        """Force the endpoint's breaker open or closed, or make it automatic again."""
        force_breaker(endpoint=self.get_object(), **self.validated(BreakerSerializer))
        return self.show(self.get_object())

    @extend_schema(request=None, responses=ProbeSerializer)
    @action(detail=True, methods=["post"])
    def probe(self, request: Request, public_id: str) -> Response:
        """Probe the endpoint now, from the console, and return the result. It does not count."""
        return Response(ProbeSerializer(probe_endpoint(self.get_object())).data)


class JoinTokenSerializer(serializers.ModelSerializer[JoinToken]):
    """A join token without its digest."""

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
    """A new join token with its text, which is returned only once."""

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
        """Create a join token. `token` is returned only once."""
        token, text = join_tokens.issue_join_token(**self.validated(NewJoinTokenSerializer))
        return self.show_new(token, token=text)

    @extend_schema(request=None, responses=JoinTokenSerializer)
    @action(detail=True, methods=["post"])
    def block(self, request: Request, pk: str) -> Response:
        """Block the token from now on."""
        join_tokens.block_join_token(token=self.get_object(), now=timezone.now())
        return self.show(self.get_object())
