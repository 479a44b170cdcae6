"""Notices: delivered by e-mail or signed webhook, tried again after pauses, at last given up."""

import hashlib
import hmac
import json
import re
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from django.core import mail
from django.core.exceptions import ValidationError

from kernel.egress.rules import TargetRefused
from kernel.signatures import new_signing_secret
from tenants.models import AlertRecipient, Notice
from tenants.models.notice import MAX_TRIES
from tenants.notifications import delivery, recipients
from tenants.scoping import every_tenant, tenant_scope
from tests.fixtures.limits.limits import NOON

PROTOCOLS = Path(__file__).resolve().parents[3] / "platform/docs/protocols.md"


class Receiver:
    """A web server that keeps what it is sent and answers with `status`."""

    def __init__(self):
        self.status, self.got = 200, []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((dict(self.headers), body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def receiver(settings):
    receiver = Receiver()
    receiver.thread.start()
    settings.EGRESS_ALLOW, settings.EGRESS_HTTP = ["127.0.0.1"], True
    settings.EGRESS_PORTS = [receiver.server.server_port]
    yield receiver
    receiver.server.shutdown()
    receiver.thread.join()
    receiver.server.server_close()


def recipient(tenant, address, kind="webhook", **facts):
    row = AlertRecipient(tenant=tenant, address=address, kind=kind, **facts)
    return row, recipients.save_recipient(recipient=row)


def tell(tenant, kind="quota.threshold"):
    with tenant_scope(tenant.pk):
        return delivery.create_notification(
            kind, facts={"percent": 80}, tenant_id=tenant.pk, now=NOON
        )


def deliver_due(now=NOON):
    due = delivery.due_notices(now=now)
    return [delivery.deliver(tenant_id=t, notice_id=n, now=now) for t, n in due]


def only(model):
    with every_tenant():
        return model.objects.get()


def documented_check():
    """The example of the documentation, as readers copy it."""
    text = PROTOCOLS.read_text(encoding="utf-8")
    code = re.search(r"```python\n(import base64.*?)```", text, re.DOTALL)[1]
    assert len(code.strip().splitlines()) <= 12
    namespace = {}
    exec(code, namespace)
    return namespace["is_ours"]


def test_a_webhook_is_signed_as_documented(acme, receiver):
    _, secret = recipient(acme, receiver.url)
    tell(acme)

    assert deliver_due() == [True]

    ((headers, body),) = receiver.got
    is_ours, now = documented_check(), NOON.timestamp()
    assert is_ours(body, headers, secret, now=now)
    assert not is_ours(body + b" ", headers, secret, now=now)
    assert not is_ours(body, {**headers, "webhook-id": "evt_other"}, secret, now=now)
    assert not is_ours(body, headers, new_signing_secret(), now=now)
    assert not is_ours(body, headers, secret, now=now + 301)


def test_the_deprecated_signature_is_sent_too(acme, receiver):
    _, secret = recipient(acme, receiver.url)
    tell(acme)

    assert deliver_due() == [True]

    ((headers, body),) = receiver.got
    signature = headers["Tenantry-Signature"]
    stamp = int(NOON.timestamp())
    expected = hmac.new(secret.encode(), b"%d." % stamp + body, hashlib.sha256).hexdigest()
    assert signature == f"t={stamp},v1={expected}"


def test_a_webhook_says_what_happened_and_under_which_id(acme, receiver):
    recipient(acme, receiver.url)
    (notice,) = tell(acme)

    deliver_due()

    event = json.loads(receiver.got[0][1])
    assert event == {
        "id": notice.event_id,
        "type": "quota.threshold",
        "created_at": NOON.isoformat(),
        "tenant_id": acme.pk,
        "data": {"percent": 80},
    }
    assert only(AlertRecipient).last_delivered_at == NOON


def test_an_e_mail_says_it_in_words(acme, rival):
    recipient(acme, "ops@acme.example", kind="email")
    recipient(rival, "ops@rival.example", kind="email")
    tell(acme)

    deliver_due()

    (message,) = mail.outbox
    assert (message.to, message.subject) == (
        ["ops@acme.example"],
        "Tenantry: 80 % of a quota is used",
    )
    assert "percent: 80" in message.body


def test_a_notice_is_delivered_once(acme, receiver):
    recipient(acme, receiver.url)
    (notice,) = tell(acme)

    for _ in range(3):
        delivery.deliver(tenant_id=acme.pk, notice_id=notice.pk, now=NOON)

    assert len(receiver.got) == 1
    assert delivery.due_notices(now=NOON + timedelta(days=9)) == []


def test_a_failure_is_tried_again_after_pauses_under_the_same_id(acme, receiver):
    recipient(acme, receiver.url)
    tell(acme)
    receiver.status = 500

    assert deliver_due() == [False]
    assert only(AlertRecipient).last_error == "The webhook responded with status 500."
    assert deliver_due(NOON + timedelta(seconds=59)) == []
    assert deliver_due(NOON + timedelta(seconds=60)) == [False]
    assert deliver_due(NOON + timedelta(seconds=179)) == []

    receiver.status = 204
    assert deliver_due(NOON + timedelta(seconds=180)) == [True]
    ids = {(json.loads(body)["id"], headers["webhook-id"]) for headers, body in receiver.got}
    assert len(ids) == 1
    assert len(set(*ids)) == 1
    assert only(AlertRecipient).last_error == ""


def test_at_last_it_is_given_up(acme, receiver):
    recipient(acme, receiver.url)
    tell(acme)
    receiver.status = 500

    for day in range(20):
        deliver_due(NOON + timedelta(days=day))

    assert len(receiver.got) == MAX_TRIES
    assert only(Notice).ended_at is not None


def test_a_redirect_to_the_inside_is_a_failure(acme, receiver, settings):
    recipient(acme, receiver.url)
    tell(acme)
    settings.EGRESS_ALLOW = []

    assert deliver_due() == [False]

    assert (
        only(AlertRecipient).last_error
        == "Requests to networks that are not public are not allowed."
    )
    assert receiver.got == []


def test_a_recipient_that_is_switched_off_is_told_nothing(acme, receiver):
    row, _ = recipient(acme, receiver.url)
    row.enabled = False
    recipients.save_recipient(recipient=row)

    assert tell(acme) == []


def test_a_recipient_that_is_deleted_takes_its_notices_along(acme, receiver):
    row, _ = recipient(acme, receiver.url)
    tell(acme)

    recipients.delete_recipient(recipient=row)

    assert deliver_due() == []


def test_a_secret_is_shown_once_and_stored_encrypted(acme, receiver):
    from django.db import connection

    row, secret = recipient(acme, receiver.url)

    assert re.fullmatch(r"whsec_[0-9A-Za-z+/]{43}=", secret)
    assert recipients.save_recipient(recipient=row) == ""
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM tenants_alertrecipient")
        assert secret not in cursor.fetchone()[0]


def test_a_new_address_gets_a_new_secret(acme, receiver):
    row, secret = recipient(acme, receiver.url)
    row.address = receiver.url + "/new"

    fresh = recipients.save_recipient(recipient=row)

    assert fresh not in {"", secret}
    assert only(AlertRecipient).secret == fresh


def test_an_e_mail_address_has_no_secret(acme):
    assert recipient(acme, "ops@acme.example", kind="email")[1] == ""


@pytest.mark.parametrize("address", ["https://169.254.169.254/", "https://2130706433/"])
def test_a_webhook_into_the_inside_is_refused_at_once(acme, address):
    with pytest.raises((TargetRefused, ValidationError)):
        recipient(acme, address)

    with every_tenant():
        assert not AlertRecipient.objects.exists()
