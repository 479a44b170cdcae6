"""Rollouts of an agent: start, compare, promote, stop."""

from dataclasses import asdict
from typing import Any, ClassVar

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents.models import Agent, AgentRevision, Rollout
from agents.rollouts import services as rollout_services
from agents.rollouts.evaluation import Comparison, compare_revisions
from agents.rollouts.lifecycle import ensure_rollout
from agents.rollouts.thresholds import DEFAULT_THRESHOLDS, Thresholds
from tenants.api.access import TenantViewSet, acting_user
from tenants.api.renamed_fields import RenamedFields

MAX_INTEGER = 2_147_483_647


class RevisionStatsSerializer(serializers.Serializer[Any]):
    """The metrics of one revision since the rollout started."""

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
            *(
                "id",
                "revision",
                "share",
                "state",
                "min_runs",
                "max_error_rate_increase_points",
                "max_latency_increase_percent",
            ),
            *("reason", "started_at", "ended_at"),
        )
        read_only_fields = fields


class ComparedRolloutSerializer(RolloutSerializer):
    """A rollout with the metrics of both revisions."""

    served = RevisionStatsSerializer()
    candidate = RevisionStatsSerializer()

    class Meta:
        model = Rollout
        fields = (*RolloutSerializer.Meta.fields, "served", "candidate")
        read_only_fields = fields


class NewRolloutSerializer(RenamedFields):
    renamed_fields: ClassVar = {
        "least_runs": "min_runs",
        "most_errors": "max_error_rate_increase_points",
        "most_latency": "max_latency_increase_percent",
    }
    share = serializers.IntegerField(
        min_value=1, max_value=99, help_text="Percentage of conversations."
    )
    revision = serializers.IntegerField(
        min_value=1,
        max_value=MAX_INTEGER,
        required=False,
        help_text="Number of the candidate. Default: the draft becomes the next revision and the"
        " candidate.",
    )
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)
    min_runs = serializers.IntegerField(
        min_value=0,
        max_value=1_000_000,
        default=DEFAULT_THRESHOLDS.min_runs,
        help_text="Runs that each revision needs before the two are compared.",
    )
    max_error_rate_increase_points = serializers.IntegerField(
        min_value=0,
        max_value=100,
        default=DEFAULT_THRESHOLDS.max_error_rate_increase_points,
        help_text="Percentage points by which the candidate's error rate may be higher.",
    )
    max_latency_increase_percent = serializers.IntegerField(
        min_value=0,
        max_value=10_000,
        default=DEFAULT_THRESHOLDS.max_latency_increase_percent,
        help_text="Percentage by which the 95th percentile of the candidate's latency, or of its "
        "time to first token, may be higher.",
    )


class StopSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=300, required=False, allow_blank=True)


class RolloutActions(TenantViewSet[Agent]):
    """The actions of `/agents/{pk}` on its rollout."""

    @extend_schema(responses=RolloutSerializer(many=True))
    @action(detail=True, methods=["get"])
    def rollouts(self, request: Request, pk: str) -> Response:
        """List the agent's rollouts, newest first, with state and reason."""
        rollouts = Rollout.objects.filter(agent=self.get_object())
        rows: Any = rollouts.select_related("revision")
        page: Any = self.paginate_queryset(rows)
        return self.get_paginated_response(RolloutSerializer(page, many=True).data)

    @extend_schema(responses=ComparedRolloutSerializer)
    @action(detail=True, methods=["get"])
    def rollout(self, request: Request, pk: str) -> Response:
        """Show the running rollout with the metrics of both revisions. 409 if there is none."""
        agent = self.get_object()
        running = ensure_rollout(agent)
        running.agent = agent
        return Response(compared_rollout(running, compare_revisions(running)))

    @extend_schema(request=NewRolloutSerializer, responses={201: RolloutSerializer})
    @rollout.mapping.post
    def start_rollout(self, request: Request, pk: str) -> Response:
        """Start a rollout: a revision, or the draft, serves a share of conversations."""
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
        """Stop the rollout. The candidate serves no more conversations."""
        reason = self.validated(StopSerializer).get("reason", "")
        rollout_services.stop_rollout(agent=self.get_object(), reason=reason)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"], url_path="rollout/promote")
    def promote_rollout(self, request: Request, pk: str) -> Response:
        """Promote the candidate. It serves all conversations."""
        rollout_services.promote_rollout(agent=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


def compared_rollout(rollout: Rollout, compared: Comparison) -> dict[str, Any]:
    return {
        **RolloutSerializer(rollout).data,
        "served": asdict(compared.base),
        "candidate": asdict(compared.candidate),
    }
