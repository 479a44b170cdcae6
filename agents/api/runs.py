"""`/runs` and `/approvals`: executions, and tool calls that need approval."""

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
from agents.nodes.selectors import name_of_worker
from agents.runs import approvals
from agents.runs.cancellation import cancel_run
from tenants.api.access import WHICH_TENANT


class RunSerializer(serializers.ModelSerializer[Run]):
    """A run without its items, which its conversation has."""

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
    node = serializers.CharField(
        read_only=True, help_text="The process that executes the run, or did; empty after a day."
    )

    class Meta:
        model = Run
        fields = (
            *("id", "tenant", "conversation", "previous", "door", "model", "agent"),
            *("agent_revision", "route", "api_key", "member", "background", "state", "error"),
            *("incomplete_reason", "prompt_tokens", "cached_tokens", "completion_tokens"),
            *("node", "steps", "tool_calls", "cache_hit", "cancel_requested_at", "created_at"),
            *("started_at", "ended_at"),
        )
        read_only_fields = fields


class RunFilter(serializers.Serializer[Any]):
    """The query parameters of `/runs`."""

    state = serializers.ChoiceField(choices=RunState.choices, required=False)
    agent = serializers.CharField(max_length=50, required=False)
    conversation = serializers.CharField(max_length=40, required=False)
    since = serializers.DateTimeField(
        required=False, help_text="Only runs created at this time or later."
    )
    until = serializers.DateTimeField(
        required=False, help_text="Only runs created before this time."
    )


LOOKUPS = {
    "conversation": "conversation__public_id",
    "since": "created_at__gte",
    "until": "created_at__lt",
}


@extend_schema(parameters=[WHICH_TENANT])
class RunsViewSet(ListModelMixin, RetrieveModelMixin, PrivateViewSet):
    serializer_class = RunSerializer

    def get_queryset(self) -> QuerySet[Run]:
        rows = Run.objects.select_related("tenant", "conversation", "previous")
        named: QuerySet[Run] = rows.annotate(node=name_of_worker())
        return named

    @extend_schema(parameters=[WHICH_TENANT, RunFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List runs, newest first."""
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: Any) -> Any:
        if self.action != "list":
            return queryset
        return queryset.filter(**self.filters_of(RunFilter, LOOKUPS))

    @extend_schema(request=None, responses=RunSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Request the cancellation of a run. Has no effect on a run that has ended."""
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
            *("id", "tenant", "run", "call_id", "tool", "arguments", "note", "state"),
            *("resolved_by", "reason", "created_at", "resolved_at"),
        )
        read_only_fields = fields


class ApprovalFilter(serializers.Serializer[Any]):
    """The query parameters of `/approvals`."""

    state = serializers.ChoiceField(choices=ApprovalState.choices, required=False)
    run = serializers.CharField(max_length=40, required=False)


class ApprovalDecisionSerializer(serializers.Serializer[Any]):
    decision = serializers.ChoiceField(choices=("approved", "denied"))
    reason = serializers.CharField(
        max_length=approvals.MAX_REASON_CHARS,
        required=False,
        allow_blank=True,
        default="",
        help_text="The model gets the reason of a denied call.",
    )


@extend_schema(parameters=[WHICH_TENANT])
class ApprovalsViewSet(ListModelMixin, RetrieveModelMixin, PrivateViewSet):
    serializer_class = ApprovalSerializer

    def get_queryset(self) -> QuerySet[Approval]:
        return Approval.objects.select_related("tenant", "run")

    @extend_schema(parameters=[WHICH_TENANT, ApprovalFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List tool calls that need or needed approval, newest first."""
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: Any) -> Any:
        if self.action != "list":
            return queryset
        return queryset.filter(**self.filters_of(ApprovalFilter, {"run": "run__public_id"}))

    @extend_schema(request=ApprovalDecisionSerializer, responses=ApprovalSerializer)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, public_id: str) -> Response:
        """Approve or deny a call. Its run continues. 409 if the call has been decided already."""
        approval = self.get_object()
        data = self.validated(ApprovalDecisionSerializer)
        if not approvals.resolve(approval=approval, by=self.requester(), **data):
            raise ApprovalResolved
        return self.show(self.get_object())
