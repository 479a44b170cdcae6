"""Signatures of webhooks, by which tenants verify their origin.

The format is that of Stripe (docs.stripe.com/webhooks/signature) and standardwebhooks.com: an HMAC
over time and body, so that neither can be changed or replayed later.
"""

import hashlib
import hmac
import secrets

HEADER = "Tenantry-Signature"


def new_signing_secret() -> str:
    """Return 256 random bits, with a prefix that secret scanners detect."""
    return f"tnw_{secrets.token_hex(32)}"


def sign(body: bytes, *, secret: str, at: int) -> str:
    """Return the header's value; `at` is in seconds since 1970."""
    digest = hmac.new(secret.encode(), b"%d.%b" % (at, body), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
