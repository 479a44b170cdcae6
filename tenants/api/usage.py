"""`/usage`: rows and sums of the ledger."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.errors import NotFound
from tenants.api.access import WHICH_TENANT, TenantViewSet, is_operator
from tenants.api.pages import ListPages
from tenants.ledger.search import find_event
from tenants.ledger.usage_queries import report_usage
from tenants.ledger.usage_report import GROUPS, MAX_GROUPS, as_answer, read_question
from tenants.models import UsageEvent

MAX_ID = 2**63 - 1


class UsageSerializer(serializers.ModelSerializer[UsageEvent]):
    """A row of the ledger, without endpoint and routing decision, which only operators may read."""

    tenant = serializers.SlugRelatedField[UsageEvent](slug_field="slug", read_only=True)
    api_key = serializers.IntegerField(source="api_key_id", read_only=True, allow_null=True)
    member = serializers.IntegerField(source="member_id", read_only=True, allow_null=True)

    class Meta:
        model = UsageEvent
        fields: tuple[str, ...] = (
            *("id", "tenant", "api_key", "member", "request_id", "client_request_id", "kind"),
            *("door", "agent", "agent_revision", "route", "prompt_tokens", "completion_tokens"),
            *("cached_tokens", "cost_micro", "estimated", "status", "error_code", "ttft_ms"),
            *("duration_ms", "started_at", "ended_at"),
        )
        read_only_fields: tuple[str, ...] = fields


class UsageExplainedSerializer(UsageSerializer):
    """A row with its charges to quota windows, and its corrections."""

    corrections = UsageSerializer(many=True, read_only=True)

    class Meta(UsageSerializer.Meta):
        fields = (*UsageSerializer.Meta.fields, "charges", "corrections")
        read_only_fields = fields


class UsageRoutedSerializer(UsageExplainedSerializer):
    """A row for operators, with the endpoint and the routing decision."""

    class Meta(UsageExplainedSerializer.Meta):
        fields = (*UsageExplainedSerializer.Meta.fields, "pool", "endpoint", "decision")
        read_only_fields = fields


class UsageFilter(serializers.Serializer[Any]):
    """Filters of `/usage`."""

    route = serializers.CharField(max_length=100, required=False)
    door = serializers.CharField(max_length=30, required=False)
    agent = serializers.CharField(max_length=50, required=False)
    status = serializers.ChoiceField(choices=UsageEvent.Status.choices, required=False)
    api_key = serializers.IntegerField(min_value=1, max_value=MAX_ID, required=False)
    client_request_id = serializers.CharField(max_length=128, required=False)
    since = serializers.DateTimeField(required=False, help_text="Inclusive start.")
    until = serializers.DateTimeField(required=False, help_text="Exclusive end.")


LOOKUPS = {"since": "started_at__gte", "until": "started_at__lt", "api_key": "api_key_id"}

BY_ID = OpenApiParameter(
    "request_id",
    str,
    OpenApiParameter.PATH,
    description="Id of the request by the platform or by the client, or the id of a row.",
)
SUMMARY = (
    OpenApiParameter("from", str, description="A date or time; by default 30 days ago."),
    OpenApiParameter("to", str, description="Exclusive end, a date or time; by default now."),
    OpenApiParameter("group_by", str, enum=GROUPS, description="By default by day."),
    OpenApiParameter(
        "limit",
        int,
        description=f"Number of agents, models or keys, those with the most tokens; {MAX_GROUPS} "
        "by default and at most. `others` are the sums of the rest, or null.",
    ),
)


class UsagePages(ListPages):
    """Pages with the newest rows first, in the order of an index."""

    ordering = ("-started_at", "-pk")


@extend_schema(parameters=[WHICH_TENANT])
class UsageViewSet(ListModelMixin, RetrieveModelMixin, TenantViewSet[UsageEvent]):
    serializer_class = UsageSerializer
    pagination_class = UsagePages
    http_method_names = ["get", "head", "options"]
    lookup_url_kwarg = "request_id"
    lookup_value_regex = ".+"

    @extend_schema(parameters=[WHICH_TENANT, UsageFilter])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the rows of the ledger, the newest first."""
        return super().list(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[UsageEvent]:
        filters = UsageFilter(data=self.request.query_params)
        filters.is_valid(raise_exception=True)
        lookups = {LOOKUPS.get(name, name): value for name, value in filters.validated_data.items()}
        return UsageEvent.objects.select_related("tenant").filter(**lookups)

    def get_object(self) -> UsageEvent:
        """Return the last request with an id of the platform or client, or a row by its id."""
        event = find_event(self.kwargs["request_id"])
        if event is None:
            raise NotFound
        return event

    @extend_schema(parameters=[WHICH_TENANT, BY_ID], responses=UsageRoutedSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the result of one request; `pool`, `endpoint` and `decision` only for operators.

        A refused request has no row.
        """
        serializer = UsageRoutedSerializer if is_operator(request) else UsageExplainedSerializer
        return Response(serializer(self.get_object()).data)

    @extend_schema(parameters=[WHICH_TENANT, *SUMMARY], responses=OpenApiTypes.OBJECT)
    @action(detail=False, filter_backends=[], pagination_class=None)
    def summary(self, request: Request) -> Response:
        """Return sums by day, hour, agent, model or key, like `/v1/usage`.

        Operators get the sums of all tenants, by days of UTC, unless they select a tenant.
        """
        question = read_question(
            tenant_id=self.tenant.pk if self.tenant else 0,
            parameters=request.query_params.dict(),
        )
        zone = self.tenant.time_zone if self.tenant else "UTC"
        return Response(as_answer(report_usage(question, zone=zone, now=timezone.now())))
