"""The internal API of engines: registration, heartbeats and deregistration."""

from typing import cast

from django.conf import settings
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from inference.api.join import JoinTokenAuthentication, OpensPool
from inference.endpoints import registration
from inference.endpoints.registration import Announcement
from inference.engines.engine import EngineLoad
from inference.models import ModelPool
from inference.models.endpoint import MAX_CONCURRENCY
from inference.models.pool import EngineKind

MAX_INTEGER = 2_147_483_647
"""PostgreSQL's largest integer."""
MAX_OWN_WEIGHT = 100
"""Maximum weight that an engine may request; operators may set a higher one."""
MAX_TOKENS = 2**53
"""Largest integer that is exact in every JSON implementation."""


class AnnouncementSerializer(serializers.Serializer[Announcement]):
    """The facts of a registration."""

    address = serializers.CharField(max_length=300)
    model = serializers.CharField(max_length=200)
    # Accepted and not stored: the kind of engine is a setting of the pool.
    engine = serializers.ChoiceField(choices=EngineKind.choices, required=False)
    engine_version = serializers.CharField(max_length=200, required=False, allow_blank=True)
    max_concurrency = serializers.IntegerField(
        min_value=1, max_value=MAX_CONCURRENCY, required=False
    )
    weight = serializers.IntegerField(min_value=1, max_value=MAX_OWN_WEIGHT, required=False)
    zone = serializers.CharField(max_length=50, required=False, allow_blank=True)
    capabilities = serializers.ListField(
        child=serializers.CharField(max_length=50), max_length=20, required=False
    )
    machine = serializers.CharField(max_length=100, required=False, allow_blank=True)
    credential = serializers.CharField(
        max_length=1000, required=False, allow_blank=True, write_only=True
    )


class RegistrationSerializer(serializers.Serializer[dict[str, object]]):
    """The registration, with the interval of heartbeats and its expiry."""

    id = serializers.CharField()
    heartbeat_seconds = serializers.FloatField()
    expires_seconds = serializers.FloatField()
    advice = serializers.ListField(child=serializers.CharField())


class LoadSerializer(serializers.Serializer[EngineLoad]):
    """The load of an engine, without what it does not report."""

    running = serializers.IntegerField(min_value=0, max_value=MAX_INTEGER)
    waiting = serializers.IntegerField(min_value=0, max_value=MAX_INTEGER)
    kv_cache_used = serializers.FloatField(min_value=0, max_value=1, required=False)
    prompt_tokens = serializers.IntegerField(min_value=0, max_value=MAX_TOKENS, required=False)
    generation_tokens = serializers.IntegerField(min_value=0, max_value=MAX_TOKENS, required=False)


def pool_of(request: Request) -> ModelPool:
    """Return the pool of the request's join token."""
    return cast("ModelPool", request.auth)


class EngineView(APIView):
    """Base of views for engines: without sessions, cookies and CSRF."""

    authentication_classes = (JoinTokenAuthentication,)
    permission_classes = (OpensPool,)


class Registrations(EngineView):
    @extend_schema(
        operation_id="engine_register",
        request=AnnouncementSerializer,
        responses={201: RegistrationSerializer},
    )
    def post(self, request: Request) -> Response:
        """Register in the pool of the token, or update the endpoint at the same address."""
        serializer = AnnouncementSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        facts = {
            name: value for name, value in serializer.validated_data.items() if name != "engine"
        }
        endpoint = registration.register_endpoint(
            pool=pool_of(request), announcement=Announcement(**facts), now=timezone.now()
        )
        answer = {
            "id": endpoint.public_id,
            "heartbeat_seconds": settings.HEARTBEAT_SECONDS,
            "expires_seconds": settings.ENDPOINT_EXPIRY_SECONDS,
            "advice": registration.advice_on(pool=pool_of(request), endpoint=endpoint),
        }
        return Response(answer, status=status.HTTP_201_CREATED)


class RegistrationView(EngineView):
    @extend_schema(operation_id="engine_deregister", request=None, responses={204: None})
    def delete(self, request: Request, public_id: str) -> Response:
        """Deregister. 404 if the endpoint is not registered."""
        registration.deregister_endpoint(pool=pool_of(request), public_id=public_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class Heartbeats(EngineView):
    @extend_schema(
        operation_id="engine_heartbeat",
        request=LoadSerializer,
        responses={200: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Send a heartbeat. 404: the engine must register again."""
        serializer = LoadSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        registration.record_heartbeat(
            pool=pool_of(request),
            public_id=public_id,
            load=EngineLoad(**serializer.validated_data),
            now=timezone.now(),
        )
        return Response({})
