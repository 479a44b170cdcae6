"""The address in the audit log is one that nobody can make up."""

import pytest
from auditlog.models import LogEntry
from django.test import override_settings
from django.urls import reverse


@pytest.mark.parametrize(("proxies", "told"), [("10.9.9.9", "127.0.0.1"), ("127.0.0.1", "1.2.3.4")])
def test_only_our_proxies_say_for_whom_they_ask(console, acme, proxies, told):
    facts = {"slug": "acme", "name": "Acme Inc.", "time_zone": "UTC"}
    page = reverse("admin:tenants_tenant_add")
    with override_settings(TRUSTED_PROXIES=[proxies]):
        console.post(
            page, {**facts, "slug": "new"}, headers={"x-forwarded-for": "9.9.9.9, 1.2.3.4"}
        )

    entry = LogEntry.objects.filter(object_repr="Acme Inc.").latest("pk")
    assert entry.remote_addr == told
