"""Where the machine that keeps a pool's replicas asks how many they are to be."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from inference.api.internal import EngineView, pool_of
from inference.models import ScalingState
from inference.models.scaling_policy import MAX_REPLICAS
from inference.scaling.actuators.process import Host, check_in

ASK_AGAIN_SECONDS = 3.0


class HostSerializer(serializers.Serializer[Any]):
    """What the machine says of itself."""

    name = serializers.CharField(max_length=100)
    running = serializers.IntegerField(min_value=0, max_value=MAX_REPLICAS)
    slots = serializers.IntegerField(min_value=1, max_value=MAX_REPLICAS)


class OrderSerializer(serializers.Serializer[Any]):
    """What it is to do."""

    replicas = serializers.IntegerField(allow_null=True, help_text="null: as many as it has.")
    idlest = serializers.ListField(
        child=serializers.CharField(), help_text="Addresses, the one with least to do first."
    )
    ask_again_seconds = serializers.FloatField()


class Replicas(EngineView):
    @extend_schema(
        operation_id="scale_host_check_in", request=HostSerializer, responses={200: OrderSerializer}
    )
    def post(self, request: Request) -> Response:
        """Say how many run, and hear how many there should be. 409 for a second machine."""
        serializer = HostSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        pool = pool_of(request)
        wanted = check_in(pool_id=pool.pk, host=Host(**serializer.validated_data))
        state = ScalingState.objects.filter(pool=pool).first()
        idlest = state.shown.get("idlest", []) if state else []
        answer = {"replicas": wanted, "idlest": idlest, "ask_again_seconds": ASK_AGAIN_SECONDS}
        return Response(answer)
