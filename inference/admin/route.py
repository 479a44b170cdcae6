"""The admin of model routes."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from inference import services
from inference.admin.price import PriceFormField, price_text
from inference.admin.route_targets import NO_WEIGHT, TargetsInline, describe_pools
from inference.models import ModelRoute
from inference.models.route import MAX_PRICE
from inference.route_targets import MAX_WEIGHT, WantedTarget
from kernel.admin.base import ConsoleAdmin
from kernel.admin.formatting import separated

POOLS = """Requests go to the route's own pool. Further pools, which you add below, share them by
weight, or are fallbacks that are used in their order while no other pool is available."""
PER_MILLION = "In the currency unit per million tokens: 0.15. Empty: free."


class RouteForm(forms.ModelForm):  # type: ignore[type-arg]
    """The form of a route."""

    targets: tuple[WantedTarget, ...] = ()
    """The further pools on the page; set when the whole page is valid."""
    pool_weight = forms.IntegerField(
        min_value=1,
        max_value=MAX_WEIGHT,
        initial=1,
        label="Weight of its own pool",
        widget=UnfoldAdminIntegerFieldWidget(attrs={"data-weight": "own"}),
        error_messages={"min_value": NO_WEIGHT, "max_value": NO_WEIGHT},
        help_text=format_html(
            "Relative to the weights of the pools that share the requests of this route. "
            "With this weight the own pool gets {} of them.",
            mark_safe('<b data-own-share="">a share</b>'),
        ),
    )

    prompt_price = PriceFormField(
        max_micro=MAX_PRICE,
        required=False,
        label="Price of prompt tokens",
        help_text=PER_MILLION,
    )
    cached_price = PriceFormField(
        max_micro=MAX_PRICE,
        required=False,
        label="Price of cached prompt tokens",
        help_text=f"{PER_MILLION} At most the price of other prompt tokens.",
    )
    completion_price = PriceFormField(
        max_micro=MAX_PRICE,
        required=False,
        label="Price of completion tokens",
        help_text=PER_MILLION,
    )


@admin.register(ModelRoute)
class ModelRouteAdmin(ConsoleAdmin):
    form = RouteForm
    list_display = ("name", "pools", "purpose", "context", "prices", "enabled")
    list_filter = ("enabled", "purpose", "pool")
    list_select_related = ("pool",)
    search_fields = ("name", "pool__name")
    autocomplete_fields = ("pool",)
    fieldsets = (
        (None, {"fields": ("name", "purpose", "context_length", "enabled")}),
        ("Pools", {"fields": (("pool", "pool_weight"),), "description": POOLS}),
        ("Prices", {"fields": (("prompt_price", "cached_price", "completion_price"),)}),
    )
    # Labels are above the fields, because there are several fields in a row.
    compressed_fields = False
    inlines = (TargetsInline,)
    when_in_use = (
        "Choose another route in these agents and publish them. Published revisions keep their "
        "route: to keep those revisions, disable the route instead of deleting it."
    )
    when_empty = "Create a route: a name that tenants send as `model`, and its pool."

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelRoute]:
        rows: QuerySet[ModelRoute] = super().get_queryset(request)
        return rows.prefetch_related("targets__pool")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Limits, keys and clients refer to a route by its name, so it cannot change.
        return ("name",) if obj else ()

    @display(description="Pools", ordering="pool__name")
    def pools(self, route: ModelRoute) -> str:
        return describe_pools(route, list(route.targets.all()))

    @display(description="Context", ordering="context_length")
    def context(self, route: ModelRoute) -> str:
        return f"{separated(route.context_length)} tokens"

    @display(description="Prompt / cached / completion, per million tokens")
    def prices(self, route: ModelRoute) -> str:
        prices = (route.prompt_price, route.cached_price, route.completion_price)
        return " / ".join(map(price_text, prices)) if any(prices) else "free"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Do nothing: `save_related` stores the route together with its targets."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        """Store the route and its targets in one call of the service, which validates them."""
        (targets,) = formsets
        # Computes what was changed, for Django's admin log; it stores nothing.
        targets.save(commit=False)
        form.targets = targets.targets()
        super().save_model(request, form.instance, form, change)

    def create_row(self, *, row: Any, form: Any) -> ModelRoute:
        return services.create_route(
            name=row.name,
            pool=row.pool,
            purpose=row.purpose,
            pool_weight=row.pool_weight,
            targets=form.targets,
            context_length=row.context_length,
            enabled=row.enabled,
            prompt_price=row.prompt_price,
            cached_price=row.cached_price,
            completion_price=row.completion_price,
        )

    def update_row(self, *, row: Any, form: Any) -> None:
        services.save_route(route=row, targets=form.targets)

    def delete_row(self, *, row: Any) -> None:
        services.delete_route(route=row)
