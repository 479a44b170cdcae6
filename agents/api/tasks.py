"""`/tasks`: tasks of tenants, read only except for their cancellation."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.conversations import PrivateViewSet
from agents.models import Task
from agents.models.choices import RunState
from agents.nodes.selectors import name_of_worker
from agents.schema.routing.tasks import task_state
from agents.tenant_tasks.cancellation import cancel_task
from tenants.api.access import WHICH_TENANT


class TaskSerializer(serializers.ModelSerializer[Task]):
    """A task. Its output is that of its run."""

    id = serializers.CharField(source="public_id", read_only=True)
    tenant = serializers.SlugRelatedField[Task](slug_field="slug", read_only=True)
    run = serializers.SlugRelatedField[Task](
        slug_field="public_id", read_only=True, allow_null=True
    )
    api_key = serializers.IntegerField(source="api_key_id", read_only=True, allow_null=True)
    state = serializers.SerializerMethodField()
    node = serializers.CharField(
        read_only=True, help_text="The process that executes the task, or did; empty after a day."
    )
    attempts = serializers.IntegerField(source="run.attempt", read_only=True, allow_null=True)
    started_at = serializers.DateTimeField(source="run.started_at", read_only=True, allow_null=True)
    ended_at = serializers.DateTimeField(source="run.ended_at", read_only=True, allow_null=True)

    class Meta:
        model = Task
        fields = (
            *("id", "tenant", "run", "api_key", "state", "required_capabilities"),
            *("requested_agent", "agent", "node", "attempts", "explanation", "input", "priority"),
            *("deadline", "idempotency_key", "callback_url", "metadata", "created_at"),
            *("started_at", "ended_at"),
        )
        read_only_fields = fields

    def get_state(self, task: Task) -> str:
        assert task.run is not None, "the query leaves out tasks without a run"
        return task_state(task.run.state, task.run.incomplete_reason)


class TaskFilter(serializers.Serializer[Any]):
    """The query parameters of `/tasks`."""

    run_state = serializers.ChoiceField(choices=RunState.choices, required=False)
    agent = serializers.CharField(max_length=50, required=False)
    run = serializers.CharField(max_length=40, required=False)
    since = serializers.DateTimeField(
        required=False, help_text="Only tasks created at this time or later."
    )
    until = serializers.DateTimeField(
        required=False, help_text="Only tasks created before this time."
    )


LOOKUPS = {
    "run_state": "run__state",
    "run": "run__public_id",
    "since": "created_at__gte",
    "until": "created_at__lt",
}


@extend_schema(parameters=[WHICH_TENANT])
class TasksViewSet(ListModelMixin, RetrieveModelMixin, PrivateViewSet):
    serializer_class = TaskSerializer

    def get_queryset(self) -> QuerySet[Task]:
        rows = Task.objects.exclude(run=None).select_related("tenant", "run")
        named: QuerySet[Task] = rows.annotate(node=name_of_worker("run__worker"))
        return named.defer("run__checkpoint")

    @extend_schema(parameters=[WHICH_TENANT, TaskFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List tasks, newest first."""
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: Any) -> Any:
        if self.action != "list":
            return queryset
        return queryset.filter(**self.filters_of(TaskFilter, LOOKUPS))

    @extend_schema(request=None, responses=TaskSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Request the cancellation of a task. Has no effect on a task that has ended."""
        cancel_task(task=self.get_object())
        return self.show(self.get_object())
