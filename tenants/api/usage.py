"""`/usage`: the ledger, read and filtered."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.pagination import CursorPagination

from tenants.api.access import WHICH_TENANT, TenantViewSet
from tenants.models import UsageEvent

LARGEST_ID = 2**63 - 1


class UsageSerializer(serializers.ModelSerializer[UsageEvent]):
    """A row of the ledger. Endpoints and routing decisions are the operator's business."""

    tenant = serializers.SlugRelatedField[UsageEvent](slug_field="slug", read_only=True)
    api_key = serializers.IntegerField(source="api_key_id", read_only=True, allow_null=True)
    member = serializers.IntegerField(source="member_id", read_only=True, allow_null=True)

    class Meta:
        model = UsageEvent
        fields = (
            *("id", "tenant", "api_key", "member", "request_id", "client_request_id", "kind"),
            *("door", "agent", "agent_revision", "route", "prompt_tokens", "completion_tokens"),
            *("cached_tokens", "cost_micro", "estimated", "status", "error_code", "ttft_ms"),
            *("duration_ms", "started_at", "ended_at"),
        )
        read_only_fields = fields


class UsageFilter(serializers.Serializer[Any]):
    """What `/usage` can be narrowed to."""

    route = serializers.CharField(max_length=100, required=False)
    door = serializers.CharField(max_length=30, required=False)
    agent = serializers.CharField(max_length=50, required=False)
    status = serializers.ChoiceField(choices=UsageEvent.Status.choices, required=False)
    api_key = serializers.IntegerField(min_value=1, max_value=LARGEST_ID, required=False)
    since = serializers.DateTimeField(required=False, help_text="The first moment that counts.")
    until = serializers.DateTimeField(required=False, help_text="The first that no longer does.")


LOOKUPS = {"since": "started_at__gte", "until": "started_at__lt", "api_key": "api_key_id"}


class UsagePages(CursorPagination):
    """Newest first, along the index of the ledger."""

    ordering = ("-started_at", "-pk")
    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"


@extend_schema(parameters=[WHICH_TENANT, UsageFilter])
class UsageViewSet(ListModelMixin, RetrieveModelMixin, TenantViewSet[UsageEvent]):
    serializer_class = UsageSerializer
    pagination_class = UsagePages
    http_method_names = ["get", "head", "options"]

    def get_queryset(self) -> QuerySet[UsageEvent]:
        asked = UsageFilter(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        narrowed = {LOOKUPS.get(name, name): value for name, value in asked.validated_data.items()}
        return UsageEvent.objects.select_related("tenant").filter(**narrowed)
