"""The page that explains a request: found by any of its ids."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from inference.admin.pages.explain_view import explain_requests
from tenants.ledger.search import MAX_ID_CHARS, find_rows
from tenants.models import Tenant

TENANTS_OFFERED = 50


def explain(request: HttpRequest) -> HttpResponse:
    """What became of the request whose id is asked for; without one, a box to ask."""
    asked = request.GET.get("id", "").strip()[:MAX_ID_CHARS]
    found = explain_requests(find_rows(asked)) if asked else []
    context = {
        **admin.site.each_context(request),
        "title": "Explain a request",
        "asked": asked,
        "explained": found,
        # Refused requests leave no row; what is known of them is on their tenant's page.
        "tenants": Tenant.objects.order_by("name")[:TENANTS_OFFERED] if not found else (),
    }
    return TemplateResponse(request, "inference/explain.html", context)
