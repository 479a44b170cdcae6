"""Signatures of webhooks, by which tenants verify their origin.

The headers are those of Standard Webhooks (standardwebhooks.com). `LEGACY_HEADER`, in the format of
Stripe (docs.stripe.com/webhooks/signature), is deprecated and sent besides them. Either is an HMAC
over time and body, so that neither can be changed or replayed later.
"""

import base64
import hashlib
import hmac
import secrets

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
LEGACY_HEADER = "Tenantry-Signature"
PREFIX = "whsec_"
SECRET_BYTES = 32


def new_signing_secret() -> str:
    """Return 256 random bits in the form of Standard Webhooks, which secret scanners detect."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signing_key(secret: str) -> bytes:
    """Return the key of a secret: what is encoded in it, or the text itself of an older secret."""
    if secret.startswith(PREFIX):
        return base64.b64decode(secret.removeprefix(PREFIX))
    return secret.encode()


def signature_headers(body: bytes, *, message_id: str, secret: str, at: int) -> dict[str, str]:
    """Return all headers that sign a message; `at` is in seconds since 1970."""
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(at),
        SIGNATURE_HEADER: sign(body, message_id=message_id, secret=secret, at=at),
        LEGACY_HEADER: legacy_signature(body, secret=secret, at=at),
    }


def sign(body: bytes, *, message_id: str, secret: str, at: int) -> str:
    """Return the signature of Standard Webhooks."""
    signed = b"%b.%d.%b" % (message_id.encode(), at, body)
    digest = hmac.new(signing_key(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def legacy_signature(body: bytes, *, secret: str, at: int) -> str:
    """Return the value of `LEGACY_HEADER`, whose key is the text of the secret."""
    digest = hmac.new(secret.encode(), b"%d.%b" % (at, body), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
