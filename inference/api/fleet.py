"""`/routes`, `/pools`: the public names of models and the pools behind them. For operators."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from inference import services
from inference.models import ModelPool, ModelRoute
from inference.models.pool import TIMEOUT, Engine
from inference.models.route import HIGHEST_PRICE, PRICE_UNIT, PUBLIC_NAME
from tenants.api.access import OperatorViewSet

MOST = 2_147_483_647


class RouteSerializer(serializers.ModelSerializer[ModelRoute]):
    pool = serializers.SlugRelatedField[ModelRoute](slug_field="name", read_only=True)

    class Meta:
        model = ModelRoute
        fields = (
            *("id", "name", "pool", "purpose", "enabled", "context_length"),
            *("prompt_price", "cached_price", "completion_price", "created_at"),
        )
        read_only_fields = fields


class PriceField(serializers.IntegerField):
    """Millionths of the currency unit per million tokens."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=HIGHEST_PRICE, help_text=PRICE_UNIT, **options)


class RouteChangesSerializer(serializers.Serializer[ModelRoute]):
    """A route's name stays: tenants' programs and the ledger use it."""

    pool = serializers.SlugRelatedField[ModelPool](
        slug_field="name", queryset=ModelPool.objects.all(), required=False
    )
    purpose = serializers.ChoiceField(choices=ModelRoute.Purpose.choices, required=False)
    enabled = serializers.BooleanField(required=False)
    context_length = serializers.IntegerField(min_value=1, max_value=MOST, required=False)
    prompt_price = PriceField(required=False)
    cached_price = PriceField(required=False)
    completion_price = PriceField(required=False)


class NewRouteSerializer(RouteChangesSerializer):
    name = serializers.CharField(max_length=100, validators=[PUBLIC_NAME])
    pool = serializers.SlugRelatedField[ModelPool](
        slug_field="name", queryset=ModelPool.objects.all()
    )


class RoutesViewSet(ListModelMixin, RetrieveModelMixin, OperatorViewSet[ModelRoute]):
    serializer_class = RouteSerializer
    queryset = ModelRoute.objects.select_related("pool")

    @extend_schema(request=NewRouteSerializer, responses={201: RouteSerializer})
    def create(self, request: Request) -> Response:
        """Make a route."""
        return self.show_new(services.create_route(**self.told(NewRouteSerializer)))

    @extend_schema(request=RouteChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a route; gateways follow within a second."""
        route = self.get_object()
        for name, value in self.told(RouteChangesSerializer).items():
            setattr(route, name, value)
        services.save_route(route=route)
        return self.show(route)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a route. 409 while an agent uses it."""
        services.delete_route(route=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


class PoolSerializer(serializers.ModelSerializer[ModelPool]):
    class Meta:
        model = ModelPool
        fields = (
            *("id", "name", "engine", "connect_timeout", "first_token_timeout"),
            *("token_timeout", "created_at"),
        )
        read_only_fields = fields


class PoolChangesSerializer(serializers.Serializer[ModelPool]):
    """A pool's name stays: metrics and the ledger use it."""

    engine = serializers.ChoiceField(choices=Engine.choices, required=False)
    connect_timeout = serializers.FloatField(validators=TIMEOUT, required=False)
    first_token_timeout = serializers.FloatField(validators=TIMEOUT, required=False)
    token_timeout = serializers.FloatField(validators=TIMEOUT, required=False)


class NewPoolSerializer(PoolChangesSerializer):
    name = serializers.SlugField(max_length=100)
    engine = serializers.ChoiceField(choices=Engine.choices)


class PoolsViewSet(ListModelMixin, RetrieveModelMixin, OperatorViewSet[ModelPool]):
    serializer_class = PoolSerializer
    queryset = ModelPool.objects.all()

    @extend_schema(request=NewPoolSerializer, responses={201: PoolSerializer})
    def create(self, request: Request) -> Response:
        """Make a pool. Times are in seconds."""
        return self.show_new(services.create_pool(**self.told(NewPoolSerializer)))

    @extend_schema(request=PoolChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a pool; gateways follow within a second."""
        pool = self.get_object()
        for name, value in self.told(PoolChangesSerializer).items():
            setattr(pool, name, value)
        services.save_pool(pool=pool)
        return self.show(pool)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a pool and its endpoints. 409 while a route uses it."""
        services.delete_pool(pool=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
