"""`/schedules`: runs of an agent by a cron expression, and their history."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from agents.models import Agent, Schedule, ScheduleFiring
from agents.models.schedule import MissedPolicy
from agents.schedules import services
from kernel.errors import NotFound
from tenants.api.access import WHICH_TENANT, TenantViewSet
from tenants.models import ApiKey

MAX_KEY_ID = 2**63 - 1


class RunScheduleSerializer(serializers.ModelSerializer[Schedule]):
    id = serializers.CharField(source="public_id", read_only=True)
    tenant = serializers.SlugRelatedField[Schedule](slug_field="slug", read_only=True)
    agent = serializers.SlugRelatedField[Schedule](slug_field="slug", read_only=True)

    class Meta:
        model = Schedule
        fields: tuple[str, ...] = (
            *("id", "tenant", "name", "agent", "api_key", "input", "cron", "time_zone", "missed"),
            *("is_paused", "next_at", "last_at", "created_at"),
        )
        read_only_fields: tuple[str, ...] = fields


class ScheduleWithTimesSerializer(RunScheduleSerializer):
    """A schedule with its next five times, in its own zone."""

    next_times = serializers.SerializerMethodField()

    class Meta(RunScheduleSerializer.Meta):
        fields = (*RunScheduleSerializer.Meta.fields, "next_times")
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.DateTimeField()))
    def get_next_times(self, schedule: Schedule) -> list[datetime]:
        return services.upcoming_times(schedule)


class ScheduleChangesSerializer(serializers.Serializer[Schedule]):
    name = serializers.CharField(max_length=100, required=False)
    agent = serializers.SlugField(max_length=50, required=False)
    api_key = serializers.IntegerField(
        min_value=1,
        max_value=MAX_KEY_ID,
        required=False,
        help_text="Id of the tenant's key that limits and usage of the runs count for.",
    )
    input = serializers.CharField(
        max_length=100_000, required=False, help_text="The user message of each run."
    )
    cron = serializers.CharField(
        max_length=100,
        required=False,
        help_text="Minute, hour, day of the month, month, day of the week: `0 9 * * mon-fri`.",
    )
    time_zone = serializers.CharField(
        max_length=64, required=False, help_text="IANA name, such as Europe/Berlin."
    )
    missed = serializers.ChoiceField(
        choices=MissedPolicy.choices,
        required=False,
        help_text="What happens to a time at which no Celery worker was running.",
    )


class NewRunScheduleSerializer(ScheduleChangesSerializer):
    name = serializers.CharField(max_length=100)
    agent = serializers.SlugField(max_length=50)
    api_key = serializers.IntegerField(min_value=1, max_value=MAX_KEY_ID)
    input = serializers.CharField(max_length=100_000)
    cron = serializers.CharField(max_length=100)


class FiringSerializer(serializers.ModelSerializer[ScheduleFiring]):
    """A due time of a schedule: whether a run was started, and its state."""

    run = serializers.SlugRelatedField[ScheduleFiring](
        slug_field="public_id", read_only=True, allow_null=True
    )
    run_state = serializers.CharField(
        source="run.state", read_only=True, allow_null=True, default=None
    )

    class Meta:
        model = ScheduleFiring
        fields = ("due_at", "state", "error_code", "run", "run_state", "created_at")
        read_only_fields = fields


@extend_schema(parameters=[WHICH_TENANT])
class SchedulesViewSet(ListModelMixin, RetrieveModelMixin, TenantViewSet[Schedule]):
    serializer_class = RunScheduleSerializer
    lookup_field = "public_id"
    lookup_value_regex = "[A-Za-z0-9_]+"

    def get_queryset(self) -> QuerySet[Schedule]:
        return Schedule.objects.select_related("tenant", "agent")

    def with_times(self, row: Schedule, *, code: int = status.HTTP_200_OK) -> Response:
        return Response(ScheduleWithTimesSerializer(row).data, status=code)

    @extend_schema(responses=ScheduleWithTimesSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A schedule with its next five times."""
        return self.with_times(self.get_object())

    @extend_schema(request=NewRunScheduleSerializer, responses={201: ScheduleWithTimesSerializer})
    def create(self, request: Request) -> Response:
        """Create a schedule, which is active at once."""
        tenant = self.target_tenant()
        data = with_rows(tenant.pk, self.validated(NewRunScheduleSerializer))
        schedule = services.create_schedule(tenant=tenant, **data)
        return self.with_times(schedule, code=status.HTTP_201_CREATED)

    @extend_schema(request=ScheduleChangesSerializer, responses=ScheduleWithTimesSerializer)
    def partial_update(self, request: Request, public_id: str) -> Response:
        """Change a schedule. It runs next at the first new time from now on."""
        schedule = self.get_object()
        data = with_rows(schedule.tenant_id, self.validated(ScheduleChangesSerializer))
        for name, value in data.items():
            setattr(schedule, name, value)
        services.save_schedule(schedule=schedule)
        return self.with_times(schedule)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, public_id: str) -> Response:
        """Delete a schedule with its history. Its runs remain."""
        services.delete_schedule(schedule=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=ScheduleWithTimesSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, public_id: str) -> Response:
        """Start no runs until the schedule is resumed."""
        services.pause_schedule(schedule=self.get_object())
        return self.with_times(self.get_object())

    @extend_schema(request=None, responses=ScheduleWithTimesSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, public_id: str) -> Response:
        """Start runs again at the next time. Times since the pause are not made up."""
        services.resume_schedule(schedule=self.get_object())
        return self.with_times(self.get_object())

    @extend_schema(responses=FiringSerializer(many=True))
    @action(detail=True, methods=["get"])
    def history(self, request: Request, public_id: str) -> Response:
        """List the due times of a schedule and what they led to, newest first."""
        rows: Any = ScheduleFiring.objects.filter(schedule=self.get_object())
        page: Any = self.paginate_queryset(rows.select_related("run"))
        return self.get_paginated_response(FiringSerializer(page, many=True).data)


def with_rows(tenant_id: int, data: dict[str, Any]) -> dict[str, Any]:
    """Replace an agent's slug and a key's id by their rows. Raises NotFound for foreign ones."""
    found = dict(data)
    if "agent" in found:
        found["agent"] = Agent.objects.filter(tenant_id=tenant_id, slug=found["agent"]).first()
        if found["agent"] is None:
            raise NotFound("This tenant has no such agent.", param="agent")
    if "api_key" in found:
        found["api_key"] = ApiKey.objects.filter(tenant_id=tenant_id, pk=found["api_key"]).first()
        if found["api_key"] is None:
            raise NotFound("This tenant has no such API key.", param="api_key")
    return found
