"""The internal API through which a scale host reports and receives the number of replicas."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from inference.api.internal import EngineView, pool_of
from inference.models import ScalingState
from inference.models.scaling_policy import MAX_REPLICAS
from inference.scaling.actuators.process import Host, check_in

POLL_SECONDS = 3.0


class HostSerializer(serializers.Serializer[Any]):
    """The report of a scale host."""

    name = serializers.CharField(max_length=100)
    running = serializers.IntegerField(min_value=0, max_value=MAX_REPLICAS)
    slots = serializers.IntegerField(min_value=1, max_value=MAX_REPLICAS)


class OrderSerializer(serializers.Serializer[Any]):
    """The wanted replicas."""

    replicas = serializers.IntegerField(allow_null=True, help_text="null: keep the current number.")
    idlest = serializers.ListField(
        child=serializers.CharField(), help_text="Addresses of engines, the least loaded first."
    )
    ask_again_seconds = serializers.FloatField()


class Replicas(EngineView):
    @extend_schema(
        operation_id="scale_host_check_in", request=HostSerializer, responses={200: OrderSerializer}
    )
    def post(self, request: Request) -> Response:
        """Report the running engines and return the wanted number. 409 for a second machine."""
        serializer = HostSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        pool = pool_of(request)
        wanted = check_in(pool_id=pool.pk, host=Host(**serializer.validated_data))
        state = ScalingState.objects.filter(pool=pool).first()
        idlest = state.status.get("idlest", []) if state else []
        answer = {"replicas": wanted, "idlest": idlest, "ask_again_seconds": POLL_SECONDS}
        return Response(answer)
