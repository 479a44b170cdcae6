"""The console's addresses."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from config.api.conventions import answer_unknown
from config.console import health

handler400 = "config.api.conventions.answer_broken_request"
handler500 = "config.console.outages.answer_server_error"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("config.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("internal/v1/", include("inference.api.internal_urls")),
    re_path("^(?:api/v1|internal)(?:/|$)", answer_unknown),
    path("healthz", health.alive),
    path("health", health.alive),
    path("readyz", health.ready),
    path("ready", health.ready),
    path("", include("django_prometheus.urls")),
]
