"""`/tenants`: operators create, change, suspend and resume tenants; members read their own."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from tenants import services
from tenants.api.access import ApiViewSet, IsOperator, acting_user, is_operator
from tenants.api.limits.report import TenantLimitsSerializer, as_json
from tenants.counters.view import read_live_view, recent_refusals
from tenants.limits import services as limit_services
from tenants.limits.report import report_limits
from tenants.models import Plan, Tenant
from tenants.models.limit_rules import validate_time_zone
from tenants.selectors import tenant_ids_of

MAX_RETENTION_DAYS = 36_500


class TenantSerializer(serializers.ModelSerializer[Tenant]):
    plan = serializers.SlugRelatedField[Tenant](slug_field="name", read_only=True, allow_null=True)

    class Meta:
        model = Tenant
        fields = ("slug", "name", "status", "plan", "time_zone", "retention_days", "created_at")


class TenantChangesSerializer(serializers.Serializer[Tenant]):
    name = serializers.CharField(max_length=200, required=False)
    time_zone = serializers.CharField(
        max_length=50, validators=[validate_time_zone], required=False
    )
    retention_days = serializers.IntegerField(
        min_value=1,
        max_value=MAX_RETENTION_DAYS,
        allow_null=True,
        required=False,
        help_text="Days after the last message until a conversation is erased; null: never.",
    )
    plan = serializers.SlugRelatedField[Plan](
        slug_field="name",
        queryset=Plan.objects.all(),
        allow_null=True,
        required=False,
        help_text="Name of a plan; null: none.",
    )


class NewTenantSerializer(TenantChangesSerializer):
    slug = serializers.SlugField(max_length=50)
    name = serializers.CharField(max_length=200)


class TenantsViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet[Tenant]):
    serializer_class = TenantSerializer
    queryset = Tenant.objects.select_related("plan")
    lookup_field = "slug"
    lookup_value_regex = r"[-a-zA-Z0-9_]+"

    def get_permissions(self) -> list[Any]:
        return [IsAuthenticated() if self.request.method in SAFE_METHODS else IsOperator()]

    def get_queryset(self) -> QuerySet[Tenant]:
        tenants = super().get_queryset()
        if is_operator(self.request):
            return tenants
        return tenants.filter(pk__in=tenant_ids_of(user=acting_user(self.request)))

    @extend_schema(request=NewTenantSerializer, responses={201: TenantSerializer})
    @transaction.atomic
    def create(self, request: Request) -> Response:
        """Create a tenant."""
        data = self.validated(NewTenantSerializer)
        plan = data.pop("plan", None)
        tenant = services.create_tenant(**data)
        if plan is not None:
            limit_services.set_plan(tenant=tenant, plan=plan, now=timezone.now())
        return self.show_new(tenant)

    @extend_schema(request=TenantChangesSerializer)
    @transaction.atomic
    def partial_update(self, request: Request, slug: str) -> Response:
        """Change a tenant's name, time zone, plan or retention."""
        tenant = self.get_object()
        data = self.validated(TenantChangesSerializer)
        if "plan" in data:
            limit_services.set_plan(tenant=tenant, plan=data.pop("plan"), now=timezone.now())
        for name, value in data.items():
            setattr(tenant, name, value)
        services.save_tenant(tenant=tenant)
        return self.show(tenant)

    @extend_schema(request=None, responses=TenantSerializer)
    @action(detail=True, methods=["post"])
    def suspend(self, request: Request, slug: str) -> Response:
        """Refuse all requests of the tenant within a second."""
        services.suspend_tenant(tenant_id=self.get_object().pk)
        return self.show(self.get_object())

    @extend_schema(request=None, responses=TenantSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, slug: str) -> Response:
        """Accept requests of a suspended tenant again."""
        services.resume_tenant(tenant_id=self.get_object().pk)
        return self.show(self.get_object())

    @extend_schema(responses=TenantLimitsSerializer)
    @action(detail=True, methods=["get"])
    def limits(self, request: Request, slug: str) -> Response:
        """Return the limits in force, with their sources and present usage."""
        tenant = self.get_object()
        report = report_limits(tenant, now=timezone.now(), live=read_live_view(tenant.pk))
        data = as_json(report, refusals=recent_refusals(tenant.pk))
        return Response(TenantLimitsSerializer(data).data)
