"""Signatures of webhooks: verified with the library of Standard Webhooks, and its test vector."""

import json
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from kernel.signatures import new_signing_secret, sign, signature_headers, signing_key

BODY = b'{"id": "evt_1", "text": "gr\xc3\xbc\xc3\x9fe"}'


def test_it_signs_as_the_specification_does():
    """The vector of github.com/standard-webhooks/standard-webhooks, `libraries/*/tests`."""
    signature = sign(
        b'{"test": 2432232314}',
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        at=1614265330,
    )

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_library_verifies_a_message():
    secret = new_signing_secret()
    headers = signature_headers(BODY, message_id="evt_1", secret=secret, at=int(time.time()))

    assert Webhook(secret).verify(BODY, headers) == json.loads(BODY)


def test_the_library_verifies_with_a_secret_from_before():
    secret = "tnw_" + "ab" * 32
    headers = signature_headers(BODY, message_id="evt_1", secret=secret, at=int(time.time()))

    assert Webhook(secret.encode()).verify(BODY, headers) == json.loads(BODY)


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_the_library_refuses_a_changed_header(changed):
    secret = new_signing_secret()
    headers = signature_headers(BODY, message_id="evt_1", secret=secret, at=int(time.time()))
    headers[changed] = signature_headers(
        b"{}", message_id="evt_2", secret=secret, at=int(time.time()) + 9
    )[changed]

    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, headers)


def test_the_library_computes_the_same_signature():
    secret, at = new_signing_secret(), 1_700_000_000
    theirs = Webhook(secret).sign("evt_1", datetime.fromtimestamp(at, tz=UTC), BODY.decode())

    assert sign(BODY, message_id="evt_1", secret=secret, at=at) == theirs


def test_every_secret_is_new_and_has_256_bits():
    first, second = new_signing_secret(), new_signing_secret()

    assert first != second
    assert len(signing_key(first)) == 32
