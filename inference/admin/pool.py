"""The admin of model pools."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.decorators import action, display

from inference import services
from inference.admin.pool_form import FIELDSETS, SETTINGS, PoolForm
from inference.models import ModelEndpoint, ModelPool, ModelRoute
from kernel.admin.base import ConsoleAdmin
from kernel.admin.formatting import BADGES


class EndpointsInline(TabularInline):
    """The endpoints of a pool, read-only: they are changed on their own pages."""

    model = ModelEndpoint
    fields = ("address", "model", "state_badge", "registered", "running", "waiting", "heartbeat_at")
    readonly_fields = fields
    ordering = ("address",)
    extra = 0
    hide_title = True
    can_delete = False
    show_change_link = True
    verbose_name_plural = "endpoints of this pool"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelEndpoint]:
        rows: QuerySet[ModelEndpoint] = super().get_queryset(request)
        return rows.defer("credential")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="State", label=BADGES)
    def state_badge(self, endpoint: ModelEndpoint) -> str:
        return endpoint.state


@admin.register(ModelPool)
class ModelPoolAdmin(ConsoleAdmin):
    list_display = ("name", "engine", "strategy", "ready", "endpoints", "routes")
    # Repeated here: a query with aggregates ignores the ordering of the model.
    ordering = ("name",)
    list_filter = ("engine", "strategy")
    search_fields = ("name",)
    form = PoolForm
    fieldsets = FIELDSETS
    actions_detail = ("fleet",)
    inlines = (EndpointsInline,)
    deleted_together = frozenset({"model endpoint", "join token"})
    when_in_use = "Choose another pool in these routes, or delete them; then delete this one."
    when_empty = "Create a pool, then a join token with which engines join it."

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.inlines if obj else ()

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Extend Django's: list each route that uses the pool, also as a further pool."""
        *deleted, protected = super().get_deleted_objects(objs, request)
        uses = Q(pool__in=list(objs)) | Q(targets__pool__in=list(objs))
        routes = ModelRoute.objects.filter(uses).distinct() if protected else ()
        return *deleted, [link_to_route(route) for route in routes]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Metrics, manifests and the ledger refer to a pool by its name, so it cannot change.
        return ("name",) if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelPool]:
        rows: QuerySet[ModelPool] = super().get_queryset(request)
        ready = Q(endpoints__state=ModelEndpoint.State.READY)
        return rows.annotate(
            endpoint_count=Count("endpoints", distinct=True),
            ready_count=Count("endpoints", filter=ready, distinct=True),
            route_count=Count("routes", distinct=True),
        )

    @display(description="Ready", ordering="ready_count", label={"none": "danger"})
    def ready(self, pool: Any) -> str:
        return str(pool.ready_count) if pool.ready_count else "none"

    @display(description="Endpoints", ordering="endpoint_count")
    def endpoints(self, pool: Any) -> int:
        return int(pool.endpoint_count)

    @display(description="Routes", ordering="route_count")
    def routes(self, pool: Any) -> int:
        return int(pool.route_count)

    def create_row(self, *, row: Any, form: Any) -> ModelPool:
        settings = {name: getattr(row, name) for name in SETTINGS}
        return services.create_pool(name=row.name, engine=row.engine, **settings)

    def update_row(self, *, row: Any, form: Any) -> None:
        services.save_pool(pool=row)

    def delete_row(self, *, row: Any) -> None:
        services.delete_pool(pool=row)

    @action(description="Live state", icon="lan")
    def fleet(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Redirect to the fleet's page."""
        pool = self.find(request, object_id)
        return HttpResponseRedirect(reverse("admin:fleet_pool", args=(pool.name,)))


def link_to_route(route: ModelRoute) -> SafeString:
    address = reverse("admin:inference_modelroute_change", args=(route.pk,))
    return format_html('Model route: <a href="{}">{}</a>', address, route)
