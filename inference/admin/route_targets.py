"""Further pools on a route's page: shares with their part in per cent, fallbacks in order."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from inference.models import ModelRoute, RouteTarget
from inference.route_targets import MAX_ORDER, MAX_WEIGHT, Target, parts_of

SHARE = RouteTarget.Role.SHARE
NO_WEIGHT = "A weight lies between 1 and 1,000. A pool that is to get nothing is removed."


class TargetForm(forms.ModelForm):  # type: ignore[type-arg]
    """One further pool. What goes with the route and its other pools, the service says."""

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
        """Left to the service, which says it in a sentence and sees all targets at once."""

    def validate_constraints(self) -> None:
        """As above."""


class TargetFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """All further pools of a route."""

    def validate_unique(self) -> None:
        """Left to the service."""

    def targets(self) -> tuple[Target, ...]:
        """What the valid form asks for, without those that are to go."""
        kept = [
            form
            for form in self.forms
            if form not in self.deleted_forms and form.cleaned_data.get("pool")
        ]
        return tuple(
            Target(
                pool=form.cleaned_data["pool"],
                role=form.cleaned_data["role"],
                weight=form.cleaned_data["weight"],
                order=form.cleaned_data["order"],
            )
            for form in kept
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

    @display(description="Part of the requests")
    def part(self, target: RouteTarget) -> str:
        """For stored shares; the page's script keeps it right while weights are typed."""
        if target.pk is None or target.role != SHARE:
            return "-"
        shares = [row for row in target.route.targets.all() if row.role == SHARE]
        parts = parts_of(own=target.route.pool_weight, shares=[row.weight for row in shares])
        # The first part is that of the route's own pool.
        of_each = dict(zip((row.pk for row in shares), parts[1:], strict=True))
        return f"{of_each[target.pk]} %"


def describe_pools(route: ModelRoute, targets: Sequence[RouteTarget]) -> str:
    """`small 70 %, large 30 %, then spare`; just `small` where it has the route for itself."""
    shares = [target for target in targets if target.role == SHARE]
    parts = parts_of(own=route.pool_weight, shares=[share.weight for share in shares])
    names = (route.pool.name, *(share.pool.name for share in shares))
    shown = [f"{name} {part} %" for name, part in zip(names, parts, strict=True)]
    spare = [target.pool.name for target in targets if target.role != SHARE]
    return ", then ".join([", ".join(shown) if shares else route.pool.name, *spare])
