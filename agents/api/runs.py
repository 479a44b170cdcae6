"""`/runs` and `/approvals`: how requests went, and what waits for a person."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.conversations import PrivateViewSet
from agents.errors import ApprovalResolved
from agents.models import Approval, Run
from agents.models.choices import ApprovalState, RunState
from agents.runs import approvals
from agents.runs.cancellation import cancel_run
from tenants.api.access import WHICH_TENANT


class RunSerializer(serializers.ModelSerializer[Run]):
    """How a run went. What was said in it is read with its conversation."""

    id = serializers.CharField(source="public_id", read_only=True)
    tenant = serializers.SlugRelatedField[Run](slug_field="slug", read_only=True)
    conversation = serializers.SlugRelatedField[Run](
        slug_field="public_id", read_only=True, allow_null=True
    )
    previous = serializers.SlugRelatedField[Run](
        slug_field="public_id", read_only=True, allow_null=True
    )
    api_key = serializers.IntegerField(source="api_key_id", read_only=True, allow_null=True)
    member = serializers.IntegerField(source="member_id", read_only=True, allow_null=True)

    class Meta:
        model = Run
        fields = (
            *("id", "tenant", "conversation", "previous", "door", "model", "agent"),
            *("agent_revision", "route", "api_key", "member", "background", "state", "error"),
            *("incomplete_reason", "prompt_tokens", "cached_tokens", "completion_tokens"),
            *("steps", "tool_calls", "cache_hit", "cancel_requested_at", "created_at"),
            *("started_at", "ended_at"),
        )
        read_only_fields = fields


class RunFilter(serializers.Serializer[Any]):
    """What `/runs` can be narrowed to."""

    state = serializers.ChoiceField(choices=RunState.choices, required=False)
    agent = serializers.CharField(max_length=50, required=False)
    conversation = serializers.CharField(max_length=40, required=False)
    since = serializers.DateTimeField(required=False, help_text="The first moment that counts.")
    until = serializers.DateTimeField(required=False, help_text="The first that no longer does.")


LOOKUPS = {
    "conversation": "conversation__public_id",
    "since": "created_at__gte",
    "until": "created_at__lt",
}


@extend_schema(parameters=[WHICH_TENANT])
class RunsViewSet(ListModelMixin, RetrieveModelMixin, PrivateViewSet):
    serializer_class = RunSerializer

    def get_queryset(self) -> QuerySet[Run]:
        return Run.objects.select_related("tenant", "conversation", "previous")

    @extend_schema(parameters=[WHICH_TENANT, RunFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Runs, the newest first."""
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: Any) -> Any:
        if self.action != "list":
            return queryset
        return queryset.filter(**self.narrowed(RunFilter, LOOKUPS))

    @extend_schema(request=None, responses=RunSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Ask for a run to be cancelled, wherever it runs. Harmless when it has ended."""
        run = self.get_object()
        cancel_run(run.tenant_id, run.public_id)
        return self.show(self.get_object())


class ApprovalSerializer(serializers.ModelSerializer[Approval]):
    id = serializers.CharField(source="public_id", read_only=True)
    tenant = serializers.SlugRelatedField[Approval](slug_field="slug", read_only=True)
    run = serializers.SlugRelatedField[Approval](slug_field="public_id", read_only=True)

    class Meta:
        model = Approval
        fields = (
            *("id", "tenant", "run", "call_id", "tool", "arguments", "state"),
            *("resolved_by", "reason", "created_at", "resolved_at"),
        )
        read_only_fields = fields


class ApprovalFilter(serializers.Serializer[Any]):
    """What `/approvals` can be narrowed to."""

    state = serializers.ChoiceField(choices=ApprovalState.choices, required=False)
    run = serializers.CharField(max_length=40, required=False)


class ApprovalDecisionSerializer(serializers.Serializer[Any]):
    decision = serializers.ChoiceField(choices=("approved", "denied"))
    reason = serializers.CharField(
        max_length=approvals.MAX_REASON_CHARS,
        required=False,
        allow_blank=True,
        default="",
        help_text="The model is told it when the call is denied.",
    )


@extend_schema(parameters=[WHICH_TENANT])
class ApprovalsViewSet(ListModelMixin, RetrieveModelMixin, PrivateViewSet):
    serializer_class = ApprovalSerializer

    def get_queryset(self) -> QuerySet[Approval]:
        return Approval.objects.select_related("tenant", "run")

    @extend_schema(parameters=[WHICH_TENANT, ApprovalFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Calls that wait for a person, or did; the newest first."""
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: Any) -> Any:
        if self.action != "list":
            return queryset
        return queryset.filter(**self.narrowed(ApprovalFilter, {"run": "run__public_id"}))

    @extend_schema(request=ApprovalDecisionSerializer, responses=ApprovalSerializer)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, public_id: str) -> Response:
        """Allow or deny a call; its run goes on. 409 if somebody decided it before."""
        approval = self.get_object()
        data = self.validated(ApprovalDecisionSerializer)
        if not approvals.resolve(approval=approval, by=self.who(), **data):
            raise ApprovalResolved
        return self.show(self.get_object())
