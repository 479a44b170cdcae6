"""Where the page of a tenant's limits is found, and how forms know that they came from it."""

from django.urls import reverse

FROM = "from"


def limits_address(tenant_id: int) -> str:
    return reverse("admin:tenants_tenant_limits", args=(tenant_id,))
