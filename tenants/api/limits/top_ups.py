"""`/top-ups`: one-off additions to quotas in one window. Only operators create them."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.api.access import WHICH_TENANT, LimitsViewSet, acting_user
from tenants.limits import services as limit_services
from tenants.limits.report import find_quota_line
from tenants.models import QuotaTopUp
from tenants.models.limit_rules import MAX_AMOUNT


class TopUpSerializer(serializers.ModelSerializer[QuotaTopUp]):
    tenant = serializers.SlugRelatedField[QuotaTopUp](slug_field="slug", read_only=True)
    granted_by = serializers.SlugRelatedField[QuotaTopUp](
        slug_field="username", read_only=True, allow_null=True
    )

    class Meta:
        model = QuotaTopUp
        fields = (
            *("id", "tenant", "counter", "window", "amount", "reason", "key", "granted_by"),
            "created_at",
        )
        read_only_fields = fields


class NewTopUpSerializer(serializers.Serializer[Any]):
    """A new top-up. `counter` and `window` are those of `/tenants/{slug}/limits`."""

    counter = serializers.CharField(max_length=300)
    window = serializers.CharField(max_length=40)
    amount = serializers.IntegerField(
        min_value=1, max_value=MAX_AMOUNT, help_text="Of cost, in millionths of the currency unit."
    )
    reason = serializers.CharField(max_length=200)
    key = serializers.CharField(
        max_length=100,
        required=False,
        help_text="Idempotency key. Repeated requests with it grant once.",
    )


@extend_schema(parameters=[WHICH_TENANT])
class TopUpsViewSet(ListModelMixin, RetrieveModelMixin, LimitsViewSet[QuotaTopUp]):
    serializer_class = TopUpSerializer
    http_method_names = ["get", "post", "head", "options"]

    def get_queryset(self) -> QuerySet[QuotaTopUp]:
        return QuotaTopUp.objects.select_related("tenant", "granted_by")

    @extend_schema(request=NewTopUpSerializer, responses={201: TopUpSerializer})
    def create(self, request: Request) -> Response:
        """Add to the limit of a counter in its window. 404 if no quota in force has the counter."""
        tenant, now = self.target_tenant(), timezone.now()
        data = self.validated(NewTopUpSerializer)
        find_quota_line(tenant, counter=data["counter"], window=data["window"], now=now)
        granted = limit_services.grant_top_up(
            tenant_id=tenant.pk, by=acting_user(request), now=now, **data
        )
        return self.show_new(granted)
