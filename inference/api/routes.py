"""`/routes`: the public names of models, and the pools that serve them. For operators."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from inference import services
from inference.models import ModelPool, ModelRoute, RouteTarget
from inference.models.route import MAX_PRICE, PRICE_UNIT, PUBLIC_NAME
from inference.route_targets import MAX_ORDER, MAX_WEIGHT, WantedTarget
from tenants.api.access import OperatorViewSet

MAX_INTEGER = 2_147_483_647


class RouteTargetSerializer(serializers.Serializer[Any]):
    """A further pool of a route: one that shares its requests, or a fallback."""

    pool = serializers.SlugRelatedField[ModelPool](
        slug_field="name", queryset=ModelPool.objects.all()
    )
    role = serializers.ChoiceField(
        choices=RouteTarget.Role.choices, default=RouteTarget.Role.FALLBACK
    )
    weight = serializers.IntegerField(
        min_value=1,
        max_value=MAX_WEIGHT,
        default=1,
        help_text="Weight of a share, relative to the route's `pool_weight` and its other shares.",
    )
    order = serializers.IntegerField(
        min_value=0,
        max_value=MAX_ORDER,
        default=0,
        help_text="Order of a fallback; the lowest is tried first.",
    )


class RouteSerializer(serializers.ModelSerializer[ModelRoute]):
    pool = serializers.SlugRelatedField[ModelRoute](slug_field="name", read_only=True)
    targets = RouteTargetSerializer(many=True, read_only=True)

    class Meta:
        model = ModelRoute
        fields = (
            *("id", "name", "pool", "pool_weight", "targets", "purpose", "enabled"),
            *("context_length", "prompt_price", "cached_price", "completion_price", "created_at"),
        )
        read_only_fields = fields


class PriceSerializerField(serializers.IntegerField):
    """Millionths of the currency unit per million tokens."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=MAX_PRICE, help_text=PRICE_UNIT, **options)


class RouteChangesSerializer(serializers.Serializer[ModelRoute]):
    """Changes of a route. Its name cannot change: clients and the ledger use it."""

    pool = serializers.SlugRelatedField[ModelPool](
        slug_field="name", queryset=ModelPool.objects.all(), required=False
    )
    pool_weight = serializers.IntegerField(
        min_value=1,
        max_value=MAX_WEIGHT,
        required=False,
        help_text="Weight of the route's own pool, relative to those of the shares.",
    )
    targets = RouteTargetSerializer(
        many=True, required=False, help_text="All further pools. They replace the stored ones."
    )
    purpose = serializers.ChoiceField(choices=ModelRoute.Purpose.choices, required=False)
    enabled = serializers.BooleanField(required=False)
    context_length = serializers.IntegerField(min_value=1, max_value=MAX_INTEGER, required=False)
    prompt_price = PriceSerializerField(required=False)
    cached_price = PriceSerializerField(required=False)
    completion_price = PriceSerializerField(required=False)


class NewRouteSerializer(RouteChangesSerializer):
    name = serializers.CharField(max_length=100, validators=[PUBLIC_NAME])
    pool = serializers.SlugRelatedField[ModelPool](
        slug_field="name", queryset=ModelPool.objects.all()
    )


def with_targets(data: dict[str, Any]) -> dict[str, Any]:
    """Return validated data with its targets as `WantedTarget`."""
    if "targets" not in data:
        return data
    return {**data, "targets": [WantedTarget(**target) for target in data["targets"]]}


class RoutesViewSet(ListModelMixin, RetrieveModelMixin, OperatorViewSet[ModelRoute]):
    serializer_class = RouteSerializer
    queryset = ModelRoute.objects.select_related("pool").prefetch_related("targets__pool")

    @extend_schema(request=NewRouteSerializer, responses={201: RouteSerializer})
    def create(self, request: Request) -> Response:
        """Create a route."""
        data = with_targets(self.validated(NewRouteSerializer))
        return self.show_new(services.create_route(**data))

    @extend_schema(request=RouteChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a route; gateways follow within a second."""
        route = self.get_object()
        data = with_targets(self.validated(RouteChangesSerializer))
        targets = data.pop("targets", None)
        for name, value in data.items():
            setattr(route, name, value)
        services.save_route(route=route, targets=targets)
        return self.show(self.get_object())

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a route. 409 while an agent uses it."""
        services.delete_route(route=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
