"""Keys that expire: announced a week ahead and noted afterwards, each once."""

from datetime import timedelta

import pytest
from auditlog.models import LogEntry

from kernel.publishing.publish import latest_revision, revisions_after
from tenants import key_expiry, services
from tenants.models import AlertRecipient, Notice
from tenants.scoping import every_tenant
from tests.fixtures.limits.limits import NOON

DAY = timedelta(days=1)


@pytest.fixture
def key(acme):
    with every_tenant():
        AlertRecipient.objects.create(tenant=acme, address="ops@acme.example")
    return services.issue_key(tenant=acme, name="ci", expires_at=NOON).key


def noted(key):
    rows = LogEntry.objects.get_for_object(key)
    return [row.changes["status"] for row in rows if "status" in row.changes]


def test_an_expiry_is_noted_once_and_told_to_the_gateways(key, acme):
    services.issue_key(tenant=acme, name="no end")
    assert key_expiry.note_expired(now=NOON - DAY) == 0
    before = latest_revision()

    assert [key_expiry.note_expired(now=NOON) for _ in range(2)] == [1, 0]

    assert noted(key) == [["active", "expired"]]
    assert [topic for _, topic in revisions_after(before)] == [f"principals:{acme.pk}"]


def test_an_expiry_that_was_missed_for_days_is_noted(key):
    assert key_expiry.note_expired(now=NOON + 30 * DAY) == 1


def test_a_week_ahead_recipients_are_warned_once(key):
    assert key_expiry.warn_of_expiry(now=NOON - 8 * DAY) == 0
    assert [key_expiry.warn_of_expiry(now=NOON - 7 * DAY) for _ in range(2)] == [1, 0]

    with every_tenant():
        notice = Notice.objects.get()
    assert notice.body["type"] == "key.expiring"
    assert "ci" in notice.body["data"]["key"]
    assert key.digest.hex() not in str(notice.body)


def test_a_new_expiry_is_announced_anew(key):
    key_expiry.warn_of_expiry(now=NOON - DAY)
    key.expires_at = NOON + DAY
    services.save_key(key=key)

    assert key_expiry.warn_of_expiry(now=NOON) == 1
    assert key_expiry.note_expired(now=NOON) == 0


def test_a_blocked_key_is_not_spoken_of(key):
    services.block_key(key=key, now=NOON - DAY)

    assert key_expiry.warn_of_expiry(now=NOON - DAY) == 0
    assert key_expiry.note_expired(now=NOON) == 0
