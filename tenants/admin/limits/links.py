"""The URL of the page of a tenant's limits, and the parameter of forms opened from that page."""

from django.urls import reverse

FROM = "from"


def limits_address(tenant_id: int) -> str:
    return reverse("admin:tenants_tenant_limits", args=(tenant_id,))
