"""`/plans`: bundles of limits. For operators."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from tenants import limit_services
from tenants.api.access import OperatorViewSet
from tenants.api.rules import (
    PLAN_QUOTA_SLOT,
    PLAN_RATE_SLOT,
    PlanQuotaSerializer,
    PlanRateLimitSerializer,
    change,
)
from tenants.models import Plan, PlanQuota, PlanRateLimit

MOST_RULES = 100


class PlanSerializer(serializers.ModelSerializer[Plan]):
    rate_limits = PlanRateLimitSerializer(many=True, read_only=True)
    quotas = PlanQuotaSerializer(many=True, read_only=True)
    tenants = serializers.SlugRelatedField[Plan](slug_field="slug", many=True, read_only=True)

    class Meta:
        model = Plan
        fields = (
            *("id", "name", "description", "longest_answer", "rate_limits", "quotas"),
            *("tenants", "created_at"),
        )
        read_only_fields = fields


class PlanChangesSerializer(serializers.Serializer[Plan]):
    """Rules that are told take the place of all rules of their kind."""

    name = serializers.CharField(max_length=100, required=False)
    description = serializers.CharField(allow_blank=True, max_length=10_000, required=False)
    longest_answer = serializers.IntegerField(min_value=1, max_value=10_000_000, required=False)
    rate_limits = PlanRateLimitSerializer(many=True, required=False, max_length=MOST_RULES)
    quotas = PlanQuotaSerializer(many=True, required=False, max_length=MOST_RULES)


class NewPlanSerializer(PlanChangesSerializer):
    name = serializers.CharField(max_length=100)


class PlansViewSet(ListModelMixin, RetrieveModelMixin, OperatorViewSet[Plan]):
    serializer_class = PlanSerializer
    queryset = Plan.objects.prefetch_related("rate_limits", "quotas", "tenants")

    @extend_schema(request=NewPlanSerializer, responses={201: PlanSerializer})
    def create(self, request: Request) -> Response:
        """Make a plan with its rules."""
        plan = self.store(Plan(), self.told(NewPlanSerializer))
        return self.show_new(self.get_queryset().get(pk=plan.pk))

    @extend_schema(request=PlanChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a plan. `rate_limits` and `quotas` replace all rules of their kind."""
        self.store(self.get_object(), self.told(PlanChangesSerializer))
        return self.show(self.get_object())

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a plan. 409 while a tenant is on it."""
        limit_services.delete_plan(plan=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @transaction.atomic
    def store(self, plan: Plan, told: dict[str, Any]) -> Plan:
        rates, quotas = told.pop("rate_limits", None), told.pop("quotas", None)
        for name, value in told.items():
            setattr(plan, name, value)
        limit_services.save_plan(plan=plan)
        if rates is not None:
            stored = PlanRateLimit.objects.filter(plan=plan)
            make = lambda: PlanRateLimit(plan=plan)  # noqa: E731
            put(stored, rates, slot=PLAN_RATE_SLOT, make=make)
        if quotas is not None:
            stored_quotas = PlanQuota.objects.filter(plan=plan)
            put(stored_quotas, quotas, slot=PLAN_QUOTA_SLOT, make=lambda: PlanQuota(plan=plan))
        return plan


def put(
    stored: Iterable[PlanRateLimit | PlanQuota],
    told: Sequence[dict[str, Any]],
    *,
    slot: Sequence[str],
    make: Callable[[], PlanRateLimit | PlanQuota],
) -> None:
    """Change the rules that stay, delete those that go, add the new ones."""
    now = timezone.now()
    known = {tuple(getattr(row, name) for name in slot): row for row in stored}
    rules = []
    for each in told:
        blank = make()
        place = tuple(each.get(name, getattr(blank, name)) for name in slot)
        rules.append((known.pop(place, blank), each))
    for gone in known.values():
        limit_services.delete_plan_limit(rule=gone, now=now)
    for rule, each in rules:
        change(rule, {**defaults_of(make()), **each})
        if isinstance(rule, PlanQuota):
            limit_services.save_plan_quota(rule=rule, now=now)
        else:
            limit_services.save_plan_rate_limit(rule=rule)


def defaults_of(blank: Model) -> dict[str, Any]:
    """What a rule says of which nothing was told: not what it said before."""
    kept = {"id", "plan"}
    return {
        field.name: getattr(blank, field.name)
        for field in blank._meta.concrete_fields  # noqa: SLF001 - Django's documented API
        if field.name not in kept
    }
