"""The console: Django's admin for operators."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.urls import URLPattern, URLResolver, path
from unfold.sites import UnfoldAdminSite

from tenants.scoping import every_tenant

View = Callable[..., HttpResponseBase]


class ConsoleSite(UnfoldAdminSite):
    """The site of the console. All pages are for operators, who see every tenant."""

    site_title = "Tenantry"
    site_header = "Tenantry"
    index_title = "Console"

    def has_permission(self, request: HttpRequest) -> bool:
        """Operators only; members of tenants use the management API."""
        user = request.user
        return bool(user.is_active and user.is_staff and user.is_superuser)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Extend Django's URLs with the pages that do not belong to a row."""
        # Not earlier: this module is imported before Django has loaded all apps.
        from agents.admin.messages.topics_page import show_topics
        from inference.admin.pages.explain_page import explain
        from inference.admin.pages.fleet_page import fleet
        from inference.admin.pages.manifest_page import manifest
        from inference.admin.pages.rehearse_page import rehearse_pool
        from inference.admin.pages.scaling_page import scaling, scaling_pool

        pages: list[URLPattern | URLResolver] = [
            path("fleet/", self.admin_view(fleet), name="fleet"),
            path("fleet/<slug:pool>/", self.admin_view(fleet), name="fleet_pool"),
            path("scaling/", self.admin_view(scaling), name="scaling"),
            path("scaling/<slug:pool>/", self.admin_view(scaling_pool), name="scaling_pool"),
            path(
                "scaling/<slug:pool>/rehearse/",
                self.admin_view(rehearse_pool),
                name="scaling_rehearse",
            ),
            path(
                "scaling/<slug:pool>/manifest/",
                self.admin_view(manifest),
                name="scaling_manifest",
            ),
            path("topics/", self.admin_view(show_topics), name="topics"),
            path("explain/", self.admin_view(explain), name="explain"),
        ]
        return [*pages, *super().get_urls()]

    def search(self, request: HttpRequest, extra_context: Any = None) -> HttpResponseBase:
        """Replace unfold's search: it finds objects, is not cached, and reports empty results."""
        # Not earlier: the models are not loaded when this module is imported.
        from config.console.global_search import explain_nothing, find_everything

        text = request.GET.get("s", "").strip()
        if not text:
            return HttpResponse()
        results = find_everything(request, site=self, text=text)
        context = {"results": results, "nothing": explain_nothing(text)}
        return TemplateResponse(request, "console/search_results.html", context)

    def admin_view(self, view: View, cacheable: bool = False) -> View:  # noqa: FBT001, FBT002
        """Run `view` behind the login, with the tenant fence lifted until its page is rendered."""
        guarded: View = super().admin_view(view, cacheable)

        @wraps(guarded)
        def unfenced(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not self.has_permission(request):
                return guarded(request, *args, **kwargs)
            with every_tenant():
                response = guarded(request, *args, **kwargs)
                # Lazy query sets of templates are executed during rendering.
                if isinstance(response, SimpleTemplateResponse):
                    response.render()
                return response

        return unfenced
