"""What stands behind the host of a webhook's address may be a token: no log shows it."""

import json

import pytest
from auditlog.models import LogEntry

from tenants.models import AlertRecipient
from tenants.models.alert_recipient import without_token
from tenants.notifications import recipients

TOKEN = "T0KEN-OF-THE-CHAT"
ADDRESS = f"https://93.184.216.34/services/{TOKEN}?key={TOKEN}"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (ADDRESS, "https://93.184.216.34/…"),
        (f"https://user:{TOKEN}@hooks.example:8443/x", "https://hooks.example:8443/…"),
        (f"http://[::1]/{TOKEN}", "http://::1/…"),
        ("ops@acme.example", "ops@acme.example"),
        (f"https://hooks.example:port/{TOKEN}", "…"),
        (f"https://[/{TOKEN}", "…"),
    ],
)
def test_an_address_is_shown_up_to_its_host(address, shown):
    assert without_token(address) == shown


def test_the_audit_log_has_the_host_only(acme):
    recipient = AlertRecipient(tenant=acme, kind="webhook", address=ADDRESS)
    recipients.save_recipient(recipient=recipient)
    recipient.address = f"{ADDRESS}-2"
    recipients.save_recipient(recipient=recipient)

    entries = LogEntry.objects.get_for_object(recipient)
    text = json.dumps([[each.object_repr, each.changes] for each in entries])
    assert TOKEN not in text
    assert "93.184.216.34" in text
    assert TOKEN not in str(recipient)
