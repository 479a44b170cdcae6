"""The filter of API keys by their present status at the gateway."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from tenants.models import ApiKey


class KeyStatusFilter(SimpleListFilter):
    title = "status"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "active"), ("blocked", "blocked"), ("expired", "expired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        expired = Q(expires_at__lte=timezone.now())
        match self.value():
            case "blocked":
                return queryset.exclude(blocked_at=None)
            case "expired":
                return queryset.filter(expired, blocked_at=None)
            case "active":
                return queryset.filter(~expired | Q(expires_at=None), blocked_at=None)
        return queryset
