"""The inline of further pools on a route's page: shares by weight, and fallbacks in order."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from inference.models import ModelRoute, RouteTarget
from inference.route_targets import MAX_ORDER, MAX_WEIGHT, WantedTarget, parts_of

SHARE = RouteTarget.Role.SHARE
NO_WEIGHT = "A weight must be between 1 and 1,000. Remove a pool that is to get no requests."


class TargetForm(forms.ModelForm):  # type: ignore[type-arg]
    """One further pool. The service validates it together with the route and its other pools."""

    weight = forms.IntegerField(
        min_value=1,
        max_value=MAX_WEIGHT,
        initial=1,
        widget=UnfoldAdminIntegerFieldWidget(attrs={"data-weight": ""}),
        error_messages={"min_value": NO_WEIGHT, "max_value": NO_WEIGHT},
    )
    order = forms.IntegerField(
        min_value=0, max_value=MAX_ORDER, initial=0, widget=UnfoldAdminIntegerFieldWidget
    )

    def validate_unique(self) -> None:
        """Skip: the service validates all targets at once, with better messages."""

    def validate_constraints(self) -> None:
        """Skip, as above."""


class TargetFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """All further pools of a route."""

    def validate_unique(self) -> None:
        """Skip: the service validates it."""

    def targets(self) -> tuple[WantedTarget, ...]:
        """Return the targets of the valid forms, without deleted ones."""
        remaining = [
            form
            for form in self.forms
            if form not in self.deleted_forms and form.cleaned_data.get("pool")
        ]
        return tuple(
            WantedTarget(
                pool=form.cleaned_data["pool"],
                role=form.cleaned_data["role"],
                weight=form.cleaned_data["weight"],
                order=form.cleaned_data["order"],
            )
            for form in remaining
        )


class TargetsInline(TabularInline):
    model = RouteTarget
    form = TargetForm
    formset = TargetFormSet
    fields = ("pool", "role", "weight", "part", "order")
    readonly_fields = ("part",)
    # Shares before fallbacks.
    ordering = ("-role", "order", "pk")
    autocomplete_fields = ("pool",)
    extra = 0
    hide_title = True
    verbose_name = "further pool"
    verbose_name_plural = "further pools: shares and fallbacks"

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)
        return rows.select_related("pool", "route").prefetch_related("route__targets")

    @display(description="Share of requests")
    def part(self, target: RouteTarget) -> str:
        """Return the percentage of a stored share; the page's script updates it on input."""
        if target.pk is None or target.role != SHARE:
            return "-"
        shares = [row for row in target.route.targets.all() if row.role == SHARE]
        parts = parts_of(own=target.route.pool_weight, shares=[row.weight for row in shares])
        # The first part is that of the route's own pool.
        of_each = dict(zip((row.pk for row in shares), parts[1:], strict=True))
        return f"{of_each[target.pk]} %"


def describe_pools(route: ModelRoute, targets: Sequence[RouteTarget]) -> str:
    """Describe the pools: `small 70 %, large 30 %, then spare`, or `small` without shares."""
    shares = [target for target in targets if target.role == SHARE]
    parts = parts_of(own=route.pool_weight, shares=[share.weight for share in shares])
    names = (route.pool.name, *(share.pool.name for share in shares))
    labels = [f"{name} {part} %" for name, part in zip(names, parts, strict=True)]
    spare = [target.pool.name for target in targets if target.role != SHARE]
    return ", then ".join([", ".join(labels) if shares else route.pool.name, *spare])
