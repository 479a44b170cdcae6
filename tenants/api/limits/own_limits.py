"""`/rate-limits`, `/quotas`: limits of one tenant. Its people read them; operators change them."""

from typing import Any

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
    RATES,
    WHOM,
    QuotaSerializer,
    RateLimitSerializer,
    change,
)
from tenants.limits import services as limit_services
from tenants.models import ApiKey, Quota, RateLimit


class KeyField(serializers.PrimaryKeyRelatedField[ApiKey]):
    """A key of the tenant in scope; another tenant's does not exist."""

    def get_queryset(self) -> QuerySet[ApiKey]:
        return ApiKey.objects.all()


class RateLimitChangesSerializer(serializers.ModelSerializer[RateLimit]):
    api_key = KeyField(required=False, allow_null=True)
    member = MemberField(required=False, allow_null=True)

    class Meta:
        model = RateLimit
        fields = ("api_key", "member", *WHOM, *RATES)
        # The service says in a sentence what is there twice.
        validators: tuple[Any, ...] = ()


class QuotaChangesSerializer(serializers.ModelSerializer[Quota]):
    api_key = KeyField(required=False, allow_null=True)
    member = MemberField(required=False, allow_null=True)

    class Meta:
        model = Quota
        fields = ("api_key", "member", *WHOM, *AMOUNTS)
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
        """Limit how fast a tenant, its keys or its members may ask."""
        limit = RateLimit(tenant=self.tenant_meant())
        change(limit, self.validated(RateLimitChangesSerializer))
        limit_services.save_rate_limit(rule=limit)
        return self.show_new(limit)

    @extend_schema(request=RateLimitChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a rate limit; gateways follow within a second."""
        limit = self.get_object()
        change(limit, self.validated(RateLimitChangesSerializer, partial=True))
        limit_services.save_rate_limit(rule=limit)
        return self.show(limit)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Take a rate limit away; the plan's of the same kind, if any, is in force again."""
        limit_services.delete_limit(rule=self.get_object(), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema(parameters=[WHICH_TENANT])
class QuotasViewSet(ListModelMixin, RetrieveModelMixin, LimitsViewSet[Quota]):
    serializer_class = QuotaSerializer

    def get_queryset(self) -> QuerySet[Quota]:
        return Quota.objects.select_related("tenant")

    @extend_schema(request=NewQuotaSerializer, responses={201: QuotaSerializer})
    def create(self, request: Request) -> Response:
        """Cap what a tenant, its keys or its members may use in each window."""
        quota = Quota(tenant=self.tenant_meant())
        change(quota, self.validated(NewQuotaSerializer))
        limit_services.save_quota(rule=quota, now=timezone.now())
        return self.show_new(quota)

    @extend_schema(request=QuotaChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a quota. A new amount is in force within a second, other times from the next
        window on.
        """
        quota = self.get_object()
        change(quota, self.validated(QuotaChangesSerializer, partial=True))
        limit_services.save_quota(rule=quota, now=timezone.now())
        return self.show(quota)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Take a quota away; the plan's of the same kind, if any, is in force again."""
        limit_services.delete_limit(rule=self.get_object(), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
