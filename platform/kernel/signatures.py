"""Signatures of messages that we send to addresses of tenants, so that they know they are ours.

The form is the one that receivers know from Stripe (docs.stripe.com/webhooks/signature) and from
standardwebhooks.com: an HMAC over time and body, so that neither can be changed or replayed later.
"""

import hashlib
import hmac
import secrets

HEADER = "Tenantry-Signature"


def new_signing_secret() -> str:
    """256 random bits, with a prefix by which scanners find leaked ones."""
    return f"tnw_{secrets.token_hex(32)}"


def sign(body: bytes, *, secret: str, at: int) -> str:
    """The header's value; `at` is in seconds since 1970."""
    digest = hmac.new(secret.encode(), b"%d.%b" % (at, body), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
