"""Rollouts of an agent: begun, watched, promoted and stopped."""

from dataclasses import asdict
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents.models import Agent, AgentRevision, Rollout
from agents.rollouts import services as rollout_services
from agents.rollouts.evaluation import Comparison, compare_records
from agents.rollouts.lifecycle import ensure_rollout
from agents.rollouts.thresholds import USUAL, Thresholds
from tenants.api.access import TenantViewSet, acting_user

MAX_INTEGER = 2_147_483_647


class RecordSerializer(serializers.Serializer[Any]):
    """What one revision did since the rollout began."""

    runs = serializers.IntegerField()
    failed = serializers.IntegerField()
    streams = serializers.IntegerField()
    p95_ms = serializers.FloatField(allow_null=True)
    p95_ttft_ms = serializers.FloatField(allow_null=True)


class RolloutSerializer(serializers.ModelSerializer[Rollout]):
    revision = serializers.SlugRelatedField[Rollout](slug_field="number", read_only=True)

    class Meta:
        model = Rollout
        fields = (
            *("id", "revision", "share", "state", "least_runs", "most_errors", "most_latency"),
            *("reason", "started_at", "ended_at"),
        )
        read_only_fields = fields


class WatchedRolloutSerializer(RolloutSerializer):
    """A rollout with what both revisions did."""

    served = RecordSerializer()
    candidate = RecordSerializer()

    class Meta:
        model = Rollout
        fields = (*RolloutSerializer.Meta.fields, "served", "candidate")
        read_only_fields = fields


class NewRolloutSerializer(serializers.Serializer[Any]):
    share = serializers.IntegerField(
        min_value=1, max_value=99, help_text="Per cent of conversations."
    )
    revision = serializers.IntegerField(
        min_value=1,
        max_value=MAX_INTEGER,
        required=False,
        help_text="The number to try; none: the draft, as the next revision.",
    )
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)
    least_runs = serializers.IntegerField(
        min_value=0, max_value=1_000_000, default=USUAL.least_runs
    )
    most_errors = serializers.IntegerField(min_value=0, max_value=100, default=USUAL.most_errors)
    most_latency = serializers.IntegerField(
        min_value=0, max_value=10_000, default=USUAL.most_latency
    )


class StopSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=300, required=False, allow_blank=True)


class RolloutActions(TenantViewSet[Agent]):
    """The parts of `/agents/{pk}` about its rollout."""

    @extend_schema(responses=RolloutSerializer(many=True))
    @action(detail=True, methods=["get"])
    def rollouts(self, request: Request, pk: str) -> Response:
        """The agent's rollouts, newest first: how each ended, and why."""
        rollouts = Rollout.objects.filter(agent=self.get_object())
        rows: Any = rollouts.select_related("revision")
        page: Any = self.paginate_queryset(rows)
        return self.get_paginated_response(RolloutSerializer(page, many=True).data)

    @extend_schema(responses=WatchedRolloutSerializer)
    @action(detail=True, methods=["get"])
    def rollout(self, request: Request, pk: str) -> Response:
        """The rollout that is running, with what both revisions did. 409 if none is."""
        agent = self.get_object()
        running = ensure_rollout(agent)
        running.agent = agent
        return Response(watched(running, compare_records(running)))

    @extend_schema(request=NewRolloutSerializer, responses={201: RolloutSerializer})
    @rollout.mapping.post
    def start_rollout(self, request: Request, pk: str) -> Response:
        """Let a revision, or the draft, serve a share of conversations."""
        agent, data = self.get_object(), self.validated(NewRolloutSerializer)
        number = data.pop("revision", None)
        rows = AgentRevision.objects.filter(agent=agent)
        rollout = rollout_services.start_rollout(
            agent=agent,
            revision=None if number is None else get_object_or_404(rows, number=number),
            share=data.pop("share"),
            note=data.pop("note", ""),
            user=acting_user(request),
            thresholds=Thresholds(**data),
        )
        return Response(RolloutSerializer(rollout).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=StopSerializer, responses={204: None})
    @action(detail=True, methods=["post"], url_path="rollout/stop")
    def stop_rollout(self, request: Request, pk: str) -> Response:
        """Serve the candidate to nobody any more."""
        reason = self.validated(StopSerializer).get("reason", "")
        rollout_services.stop_rollout(agent=self.get_object(), reason=reason)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"], url_path="rollout/promote")
    def promote_rollout(self, request: Request, pk: str) -> Response:
        """Serve the candidate to everybody."""
        rollout_services.promote_rollout(agent=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


def watched(rollout: Rollout, compared: Comparison) -> dict[str, Any]:
    return {
        **RolloutSerializer(rollout).data,
        "served": asdict(compared.base),
        "candidate": asdict(compared.candidate),
    }
