"""`/tenants`: operators make, change, suspend and resume them; members see their own."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from tenants import services
from tenants.api.access import ApiViewSet, IsOperator, acting_user, is_operator
from tenants.models import Tenant
from tenants.models.tenant import validate_time_zone
from tenants.selectors import tenant_ids_of


class TenantSerializer(serializers.ModelSerializer[Tenant]):
    class Meta:
        model = Tenant
        fields = ("slug", "name", "status", "time_zone", "created_at")


class TenantChangesSerializer(serializers.Serializer[Tenant]):
    name = serializers.CharField(max_length=200, required=False)
    time_zone = serializers.CharField(
        max_length=50, validators=[validate_time_zone], required=False
    )


class NewTenantSerializer(TenantChangesSerializer):
    slug = serializers.SlugField(max_length=50)
    name = serializers.CharField(max_length=200)


class TenantsViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet[Tenant]):
    serializer_class = TenantSerializer
    queryset = Tenant.objects.all()
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
    def create(self, request: Request) -> Response:
        """Make a tenant."""
        return self.show_new(services.create_tenant(**self.told(NewTenantSerializer)))

    @extend_schema(request=TenantChangesSerializer)
    def partial_update(self, request: Request, slug: str) -> Response:
        """Change a tenant's name or time zone."""
        tenant = self.get_object()
        for name, value in self.told(TenantChangesSerializer).items():
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
        """Serve a suspended tenant again."""
        services.resume_tenant(tenant_id=self.get_object().pk)
        return self.show(self.get_object())
