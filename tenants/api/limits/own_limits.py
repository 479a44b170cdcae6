"""`/rate-limits`, `/quotas`: limits of one tenant. Members read them; operators change them."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.api.access import WHICH_TENANT, LimitsViewSet
from tenants.api.keys import MemberField
from tenants.api.limits.rules import (
    AMOUNTS,
    COMMON_FIELDS,
    RATES,
    RENAMED_OF_QUOTAS,
    RENAMED_OF_RATES,
    QuotaSerializer,
    RateLimitSerializer,
    apply_changes,
)
from tenants.api.renamed_fields import RenamedFields
from tenants.limits import services as limit_services
from tenants.models import ApiKey, Quota, RateLimit


class KeyField(serializers.PrimaryKeyRelatedField[ApiKey]):
    """A key of the tenant in scope."""

    def get_queryset(self) -> QuerySet[ApiKey]:
        return ApiKey.objects.all()


class RateLimitChangesSerializer(RenamedFields, serializers.ModelSerializer[RateLimit]):
    renamed_fields: ClassVar = RENAMED_OF_RATES
    api_key = KeyField(required=False, allow_null=True)
    member = MemberField(required=False, allow_null=True)

    class Meta:
        model = RateLimit
        fields = ("api_key", "member", *COMMON_FIELDS, *RATES)
        # The service raises a clearer error for duplicates.
        validators: tuple[Any, ...] = ()


class QuotaChangesSerializer(RenamedFields, serializers.ModelSerializer[Quota]):
    renamed_fields: ClassVar = RENAMED_OF_QUOTAS
    api_key = KeyField(required=False, allow_null=True)
    member = MemberField(required=False, allow_null=True)

    class Meta:
        model = Quota
        fields = ("api_key", "member", *COMMON_FIELDS, *AMOUNTS)
        validators: tuple[Any, ...] = ()
        extra_kwargs = {"limit": {"required": False}}


class NewQuotaSerializer(QuotaChangesSerializer):
    class Meta(QuotaChangesSerializer.Meta):
        extra_kwargs = {"limit": {"required": True}}


@extend_schema(parameters=[WHICH_TENANT])
class RateLimitsViewSet(ListModelMixin, RetrieveModelMixin, LimitsViewSet[RateLimit]):
    serializer_class = RateLimitSerializer

    def get_queryset(self) -> QuerySet[RateLimit]:
        return RateLimit.objects.select_related("tenant")

    @extend_schema(request=RateLimitChangesSerializer, responses={201: RateLimitSerializer})
    def create(self, request: Request) -> Response:
        """Create a rate limit of a tenant, its keys or its members."""
        limit = RateLimit(tenant=self.target_tenant())
        apply_changes(limit, self.validated(RateLimitChangesSerializer))
        limit_services.save_rate_limit(rule=limit)
        return self.show_new(limit)

    @extend_schema(request=RateLimitChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a rate limit. Gateways apply it within a second."""
        limit = self.get_object()
        apply_changes(limit, self.validated(RateLimitChangesSerializer, partial=True))
        limit_services.save_rate_limit(rule=limit)
        return self.show(limit)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a rate limit. A limit of the plan that it replaced is in force again."""
        limit_services.delete_limit(rule=self.get_object(), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema(parameters=[WHICH_TENANT])
class QuotasViewSet(ListModelMixin, RetrieveModelMixin, LimitsViewSet[Quota]):
    serializer_class = QuotaSerializer

    def get_queryset(self) -> QuerySet[Quota]:
        return Quota.objects.select_related("tenant")

    @extend_schema(request=NewQuotaSerializer, responses={201: QuotaSerializer})
    def create(self, request: Request) -> Response:
        """Create a quota of a tenant, its keys or its members."""
        quota = Quota(tenant=self.target_tenant())
        apply_changes(quota, self.validated(NewQuotaSerializer))
        limit_services.save_quota(rule=quota, now=timezone.now())
        return self.show_new(quota)

    @extend_schema(request=QuotaChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a quota: the amount within a second, the calendar from the next window."""
        quota = self.get_object()
        apply_changes(quota, self.validated(QuotaChangesSerializer, partial=True))
        limit_services.save_quota(rule=quota, now=timezone.now())
        return self.show(quota)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a quota. A quota of the plan that it replaced is in force again."""
        limit_services.delete_limit(rule=self.get_object(), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
