"""`/scaling-policies`: policies, decisions and rehearsals of scaling. For operators."""

from dataclasses import asdict

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from inference.api.scaling_fields import (
    DecisionSerializer,
    NewPolicySerializer,
    OutcomeSerializer,
    OverrideSerializer,
    PolicyChangesSerializer,
    PolicySerializer,
    RehearsalSerializer,
    validated_edits,
    validated_hours,
    validated_signals,
)
from inference.models import ScalingDecision, ScalingPolicy
from inference.scaling.policies import services as policy_services
from inference.scaling.rehearsal.drafts import draft_of, find_load, rehearse_draft
from tenants.api.access import OperatorViewSet

MAX_LISTED_DECISIONS = 100


class ScalingPoliciesViewSet(ListModelMixin, RetrieveModelMixin, OperatorViewSet[ScalingPolicy]):
    serializer_class = PolicySerializer
    queryset = ScalingPolicy.objects.select_related("pool").prefetch_related("signals", "schedules")

    @extend_schema(request=NewPolicySerializer, responses={201: PolicySerializer})
    def create(self, request: Request) -> Response:
        """Create the policy of a pool."""
        data = self.validated(NewPolicySerializer)
        policy = self.save(ScalingPolicy(pool=data.pop("pool")), data)
        return self.show_new(policy)

    @extend_schema(request=PolicyChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a policy; it takes effect within 15 seconds."""
        return self.show(self.save(self.get_object(), self.validated(PolicyChangesSerializer)))

    def save(self, policy: ScalingPolicy, data: dict[str, object]) -> ScalingPolicy:
        signals, schedules = validated_signals(data), validated_hours(data)
        is_confirmed = bool(data.pop("is_confirmed", False))
        for name, value in data.items():
            setattr(policy, name, value)
        policy_services.save_policy(
            policy=policy,
            signals=signals,
            schedules=schedules,
            is_confirmed=is_confirmed,
            now=timezone.now(),
        )
        return self.queryset.get(pk=policy.pk)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a policy; the replicas of its pool stay."""
        policy_services.delete_policy(policy=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=PolicySerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Pause scaling until it is resumed."""
        policy_services.pause(policy=self.get_object())
        return self.show(self.get_object())

    @extend_schema(request=None, responses=PolicySerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Resume scaling."""
        policy_services.resume(policy=self.get_object())
        return self.show(self.get_object())

    @extend_schema(request=OverrideSerializer, responses=PolicySerializer)
    @action(detail=True, methods=["post", "delete"])
    def override(self, request: Request, pk: str) -> Response:
        """Override the number of replicas until a time; DELETE ends the override."""
        policy = self.get_object()
        if request.method == "DELETE":
            policy_services.end_override(policy=policy)
        else:
            policy_services.override(
                policy=policy, now=timezone.now(), **self.validated(OverrideSerializer)
            )
        return self.show(self.get_object())

    @extend_schema(responses=DecisionSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None)
    def decisions(self, request: Request, pk: str) -> Response:
        """List the last hundred decisions, newest first."""
        rows = ScalingDecision.objects.filter(pool=self.get_object().pool_id)
        return Response(DecisionSerializer(rows[:MAX_LISTED_DECISIONS], many=True).data)

    @extend_schema(request=RehearsalSerializer, responses=OutcomeSerializer(many=True))
    @action(detail=True, methods=["post"])
    def rehearse(self, request: Request, pk: str) -> Response:
        """Simulate one or two drafts on a load. Nothing is changed."""
        pool, now = self.get_object().pool, timezone.now()
        data = self.validated(RehearsalSerializer)
        load = find_load(
            pool, name=data["load"], base_request_rate=data.get("base_request_rate"), now=now
        )
        drafts = [
            draft_of(pool, basis=each["basis"], edits=validated_edits(each), now=now)
            for each in data["drafts"]
        ]
        found = [
            {**asdict(rehearse_draft(draft, load)), "oracle_replica_hours": load.oracle_hours}
            for draft in drafts
        ]
        return Response(OutcomeSerializer(found, many=True).data)
