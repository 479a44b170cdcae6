"""The address in the audit log is one that nobody can make up."""

import pytest
from auditlog.models import LogEntry
from django.test import override_settings
from django.urls import reverse

from config.console.client_address import address_behind, networks_of

OURS = networks_of("10.0.0.0/8, 127.0.0.1, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "told"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1:4711", "198.51.100.1"),
        ("fd00::1", "[2001:db8::7]:443", "2001:db8::7"),
        ("10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "<script>", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4, unknown, 10.0.0.2", "10.0.0.2"),
        ("", "198.51.100.1", "198.51.100.1"),
        ("", "", "None"),
    ],
)
def test_what_stands_left_of_the_first_stranger_is_not_believed(peer, forwarded, told):
    assert str(address_behind(peer, forwarded=forwarded, trusted=OURS)) == told


@pytest.mark.parametrize(("proxies", "told"), [("10.9.9.9", "127.0.0.1"), ("127.0.0.1", "1.2.3.4")])
def test_only_our_proxies_say_for_whom_they_ask(console, acme, proxies, told):
    facts = {"slug": "acme", "name": "Acme Inc.", "time_zone": "UTC"}
    page = reverse("admin:tenants_tenant_add")
    with override_settings(TRUSTED_PROXIES=proxies):
        console.post(
            page, {**facts, "slug": "new"}, headers={"x-forwarded-for": "9.9.9.9, 1.2.3.4"}
        )

    entry = LogEntry.objects.filter(object_repr="Acme Inc.").latest("pk")
    assert entry.remote_addr == told
