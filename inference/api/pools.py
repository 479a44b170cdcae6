"""`/pools`: pools of endpoints, and the distribution of requests in them. For operators."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from inference import services
from inference.models import ModelPool
from inference.models.pool import EngineKind
from tenants.api.access import OperatorViewSet

TIMEOUTS = ("connect_timeout", "first_token_timeout", "token_timeout")
DISTRIBUTION = ("strategy", "hedge_after", "slow_start_seconds")
QUEUE = ("max_in_flight", "queue_length", "queue_seconds", "sends_priority")
PROBES = ("probe_path", "probe_seconds", "probe_rise", "probe_fall", "completion_probe_seconds")
EJECTION = ("eject_after", "eject_seconds")
REGISTRATION = ("max_registered_endpoints", "engine_networks")
SETTINGS = (*TIMEOUTS, *DISTRIBUTION, *QUEUE, *PROBES, *EJECTION, *REGISTRATION)
"""Fields of a pool that may be changed, besides its engine; each has a default."""


class PoolSerializer(serializers.ModelSerializer[ModelPool]):
    class Meta:
        model = ModelPool
        fields = ("id", "name", "engine", *SETTINGS, "created_at")
        read_only_fields = fields


class PoolChangesSerializer(serializers.ModelSerializer[ModelPool]):
    """Changes of a pool. Its name cannot change: metrics and the ledger use it. Times are in
    seconds.
    """

    engine = serializers.ChoiceField(choices=EngineKind.choices, required=False)

    class Meta:
        model = ModelPool
        fields: tuple[str, ...] = ("engine", *SETTINGS)


class NewPoolSerializer(PoolChangesSerializer):
    # Without UniqueValidator: the service reports a taken name as a conflict.
    name = serializers.SlugField(max_length=100)
    engine = serializers.ChoiceField(choices=EngineKind.choices)

    class Meta(PoolChangesSerializer.Meta):
        fields = ("name", *PoolChangesSerializer.Meta.fields)


class PoolsViewSet(ListModelMixin, RetrieveModelMixin, OperatorViewSet[ModelPool]):
    serializer_class = PoolSerializer
    queryset = ModelPool.objects.all()

    @extend_schema(request=NewPoolSerializer, responses={201: PoolSerializer})
    def create(self, request: Request) -> Response:
        """Create a pool. Times are in seconds."""
        return self.show_new(services.create_pool(**self.validated(NewPoolSerializer)))

    @extend_schema(request=PoolChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a pool; gateways follow within a second."""
        pool = self.get_object()
        for name, value in self.validated(PoolChangesSerializer).items():
            setattr(pool, name, value)
        services.save_pool(pool=pool)
        return self.show(pool)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a pool and its endpoints. 409 while a route uses it."""
        services.delete_pool(pool=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
