"""The page that explains a request, which is found by any of its ids."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from inference.admin.pages.explain_view import explain_requests
from tenants.ledger.search import MAX_ID_CHARS, find_rows
from tenants.models import Tenant

MAX_LISTED_TENANTS = 50


def explain(request: HttpRequest) -> HttpResponse:
    """Render the explanation of the request with the given id; without an id only the form."""
    requested_id = request.GET.get("id", "").strip()[:MAX_ID_CHARS]
    found = explain_requests(find_rows(requested_id)) if requested_id else []
    context = {
        **admin.site.each_context(request),
        "title": "Explain a request",
        "requested_id": requested_id,
        "explained": found,
        # Refused requests have no row; the last refusals are on the pages of their tenants.
        "tenants": Tenant.objects.order_by("name")[:MAX_LISTED_TENANTS] if not found else (),
    }
    return TemplateResponse(request, "inference/explain.html", context)
