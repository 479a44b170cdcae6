"""Model routes: the public names of models."""

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
from inference.admin.price import PriceField, price_text
from inference.admin.route_targets import NO_WEIGHT, TargetsInline, describe_pools
from inference.models import ModelRoute
from inference.models.route import HIGHEST_PRICE
from inference.route_targets import MAX_WEIGHT, Target
from kernel.admin.base import ConsoleAdmin
from kernel.admin.formatting import separated

POOLS = """Requests go to the route's own pool. Further pools share them by weight, or step in, in
their order, when no other pool can take one: add them below."""
PER_MILLION = "In the currency unit per million tokens: 0.15. Empty: free."


class RouteForm(forms.ModelForm):  # type: ignore[type-arg]
    """A route with its prices as people write them."""

    targets: tuple[Target, ...] = ()
    """The further pools that the page asks for; set when the whole page is valid."""
    pool_weight = forms.IntegerField(
        min_value=1,
        max_value=MAX_WEIGHT,
        initial=1,
        label="Weight of its own pool",
        widget=UnfoldAdminIntegerFieldWidget(attrs={"data-weight": "own"}),
        error_messages={"min_value": NO_WEIGHT, "max_value": NO_WEIGHT},
        help_text=format_html(
            "Beside the pools that share its requests. With it it gets {} of them.",
            mark_safe('<b data-own-part="">a part</b>'),
        ),
    )

    prompt_price = PriceField(
        most=HIGHEST_PRICE, required=False, label="Price of prompt tokens", help_text=PER_MILLION
    )
    cached_price = PriceField(
        most=HIGHEST_PRICE,
        required=False,
        label="Price of cached prompt tokens",
        help_text=f"{PER_MILLION} At most the price of other prompt tokens.",
    )
    completion_price = PriceField(
        most=HIGHEST_PRICE,
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
    # Labels above the fields: there are several in a row.
    compressed_fields = False
    inlines = (TargetsInline,)
    when_in_use = (
        "Choose another route in these agents and publish them. Revisions keep the route that they "
        "were published with: if they are to stay, switch the route off instead of deleting it."
    )
    when_empty = "Make a route: the name that tenants write as `model`, and the pool behind it."

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelRoute]:
        rows: QuerySet[ModelRoute] = super().get_queryset(request)
        return rows.prefetch_related("targets__pool")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Limits, keys and tenants' programs know a route by its name: it stays what it was.
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
        """Not yet: a route is stored together with its targets."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        """The route and its targets in one call of the service, which looks at all of them."""
        (targets,) = formsets
        # Notes what was changed, for Django's own log; it stores nothing.
        targets.save(commit=False)
        form.targets = targets.targets()
        super().save_model(request, form.instance, form, change)

    def store(self, *, row: Any, form: Any) -> ModelRoute:
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

    def restore(self, *, row: Any, form: Any) -> None:
        services.save_route(route=row, targets=form.targets)

    def remove(self, *, row: Any) -> None:
        services.delete_route(route=row)
