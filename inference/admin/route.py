"""Model routes: the public names of models."""

from typing import Any

from django import forms
from django.contrib import admin
from unfold.decorators import display

from inference import services
from inference.admin.price import PriceField, price_text
from inference.models import ModelRoute
from inference.models.route import HIGHEST_PRICE
from kernel.console import ConsoleAdmin
from kernel.display import separated

PER_MILLION = "In the currency unit per million tokens: 0.15. Empty: free."


class RouteForm(forms.ModelForm):  # type: ignore[type-arg]
    """A route with its prices as people write them."""

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
    list_display = ("name", "pool", "purpose", "context", "prices", "enabled")
    list_filter = ("enabled", "purpose", "pool")
    list_select_related = ("pool",)
    search_fields = ("name", "pool__name")
    autocomplete_fields = ("pool",)
    fieldsets = (
        (None, {"fields": ("name", "pool", "purpose", "context_length", "enabled")}),
        ("Prices", {"fields": (("prompt_price", "cached_price", "completion_price"),)}),
    )
    when_empty = "Make a route: the name that tenants write as `model`, and the pool behind it."

    @display(description="Context", ordering="context_length")
    def context(self, route: ModelRoute) -> str:
        return f"{separated(route.context_length)} tokens"

    @display(description="Prompt / cached / completion, per million tokens")
    def prices(self, route: ModelRoute) -> str:
        prices = (route.prompt_price, route.cached_price, route.completion_price)
        return " / ".join(map(price_text, prices)) if any(prices) else "free"

    def store(self, *, row: Any, form: Any) -> ModelRoute:
        return services.create_route(
            name=row.name,
            pool=row.pool,
            purpose=row.purpose,
            context_length=row.context_length,
            enabled=row.enabled,
            prompt_price=row.prompt_price,
            cached_price=row.cached_price,
            completion_price=row.completion_price,
        )

    def restore(self, *, row: Any, form: Any) -> None:
        services.save_route(route=row)

    def remove(self, *, row: Any) -> None:
        services.delete_route(route=row)
