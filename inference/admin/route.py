"""Model routes: the public names of models."""

from typing import Any

from django.contrib import admin
from unfold.decorators import display

from inference import services
from inference.models import ModelRoute
from kernel.console import ConsoleAdmin
from kernel.display import separated


@admin.register(ModelRoute)
class ModelRouteAdmin(ConsoleAdmin):
    list_display = ("name", "pool", "purpose", "context", "enabled")
    list_filter = ("enabled", "purpose", "pool")
    list_select_related = ("pool",)
    search_fields = ("name", "pool__name")
    autocomplete_fields = ("pool",)
    fields = ("name", "pool", "purpose", "context_length", "enabled")
    when_empty = "Make a route: the name that tenants write as `model`, and the pool behind it."

    @display(description="Context", ordering="context_length")
    def context(self, route: ModelRoute) -> str:
        return f"{separated(route.context_length)} tokens"

    def store(self, *, row: Any, form: Any) -> ModelRoute:
        return services.create_route(
            name=row.name,
            pool=row.pool,
            purpose=row.purpose,
            context_length=row.context_length,
            enabled=row.enabled,
        )

    def restore(self, *, row: Any, form: Any) -> None:
        services.save_route(route=row)

    def remove(self, *, row: Any) -> None:
        services.delete_route(route=row)
