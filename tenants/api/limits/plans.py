"""`/plans`: bundles of limits. For operators."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.api.access import OperatorViewSet
from tenants.api.limits.rules import (
    AMOUNTS,
    COMMON_FIELDS,
    PLAN_QUOTA_SLOT,
    PLAN_RATE_SLOT,
    RATES,
    PlanQuotaSerializer,
    PlanRateLimitSerializer,
    apply_changes,
)
from tenants.api.renamed_fields import RenamedFields
from tenants.limits import services as limit_services
from tenants.models import Plan, PlanQuota, PlanRateLimit

MAX_RULES = 100


class PlanSerializer(serializers.ModelSerializer[Plan]):
    rate_limits = PlanRateLimitSerializer(many=True, read_only=True)
    quotas = PlanQuotaSerializer(many=True, read_only=True)
    tenants = serializers.SlugRelatedField[Plan](slug_field="slug", many=True, read_only=True)

    class Meta:
        model = Plan
        fields = (
            *(
                "id",
                "name",
                "description",
                "default_max_completion_tokens",
                "rate_limits",
                "quotas",
            ),
            *("tenants", "created_at"),
        )
        read_only_fields = fields


class PlanChangesSerializer(RenamedFields):
    """Changes of a plan. `rate_limits` and `quotas` replace all rules of their kind."""

    renamed_fields: ClassVar = {"longest_answer": "default_max_completion_tokens"}

    name = serializers.CharField(max_length=100, required=False)
    description = serializers.CharField(allow_blank=True, max_length=10_000, required=False)
    default_max_completion_tokens = serializers.IntegerField(
        min_value=1, max_value=10_000_000, required=False
    )
    # `max_length` is an argument of the list serializer, which the type stubs lack.
    rate_limits = PlanRateLimitSerializer(many=True, required=False, max_length=MAX_RULES)  # type: ignore[call-arg]
    quotas = PlanQuotaSerializer(many=True, required=False, max_length=MAX_RULES)  # type: ignore[call-arg]


class NewPlanSerializer(PlanChangesSerializer):
    name = serializers.CharField(max_length=100)


class PlansViewSet(ListModelMixin, RetrieveModelMixin, OperatorViewSet[Plan]):
    serializer_class = PlanSerializer
    queryset = Plan.objects.prefetch_related("rate_limits", "quotas", "tenants")

    @extend_schema(request=NewPlanSerializer, responses={201: PlanSerializer})
    def create(self, request: Request) -> Response:
        """Create a plan with its rules."""
        plan = self.store(Plan(), self.validated(NewPlanSerializer))
        return self.show_new(self.get_queryset().get(pk=plan.pk))

    @extend_schema(request=PlanChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a plan. `rate_limits` and `quotas` replace all rules of their kind."""
        self.store(self.get_object(), self.validated(PlanChangesSerializer))
        return self.show(self.get_object())

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a plan. 409 while a tenant is on it."""
        limit_services.delete_plan(plan=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @transaction.atomic
    def store(self, plan: Plan, data: dict[str, Any]) -> Plan:
        rates, quotas = data.pop("rate_limits", None), data.pop("quotas", None)
        for name, value in data.items():
            setattr(plan, name, value)
        limit_services.save_plan(plan=plan)
        if rates is not None:
            replace_rules(PlanRateLimit, rates, plan=plan, slot=PLAN_RATE_SLOT)
        if quotas is not None:
            replace_rules(PlanQuota, quotas, plan=plan, slot=PLAN_QUOTA_SLOT)
        return plan


def replace_rules(
    kind: type[PlanRateLimit | PlanQuota],
    data: Sequence[dict[str, Any]],
    *,
    plan: Plan,
    slot: Sequence[str],
) -> None:
    """Replace the rules of a kind: change existing ones, delete missing ones, add new ones."""
    now = timezone.now()
    known = {place(values_of(row), slot): row for row in kind.objects.filter(plan=plan)}
    defaults = values_of(kind())
    wanted = [{**defaults, **each} for each in data]
    rules = [(known.pop(place(each, slot), kind(plan=plan)), each) for each in wanted]
    for gone in known.values():
        limit_services.delete_plan_limit(rule=gone, now=now)
    for rule, each in rules:
        apply_changes(rule, each)
        save_plan_rule(rule, now=now)


def place(values: dict[str, Any], slot: Sequence[str]) -> tuple[Any, ...]:
    return tuple(values[name] for name in slot)


def values_of(rule: PlanRateLimit | PlanQuota) -> dict[str, Any]:
    """Return the values of a rule, without its id and plan."""
    names = (*COMMON_FIELDS, *(AMOUNTS if isinstance(rule, PlanQuota) else RATES))
    return {name: getattr(rule, name) for name in names}


def save_plan_rule(rule: PlanRateLimit | PlanQuota, *, now: datetime) -> None:
    if isinstance(rule, PlanQuota):
        limit_services.save_plan_quota(rule=rule, now=now)
    else:
        limit_services.save_plan_rate_limit(rule=rule)
