"""Stores the candidates of an import between two pages, encrypted in the cache.

So the imported tools are those that were displayed, and no page has to contain the credential.
"""

import secrets
from dataclasses import dataclass, field

import msgspec
import redis
from django.core.cache import cache
from django.core.exceptions import ValidationError

from agents.schema.tool_candidates import ToolCandidates
from kernel.secrets import SecretUnreadable, decrypt, encrypt

OFFER_TTL_SECONDS = 30 * 60
MAX_IMPORT_BYTES = 8 * 1024 * 1024
"""Maximum size of stored candidates in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCandidates:
    """The candidates of an import, for one user and one tenant."""

    user: int
    tenant: int
    offer: ToolCandidates
    prefix: str = ""
    secret: str = field(default="", repr=False)


def store_offer(pending: ImportCandidates) -> str:
    """Store candidates under a random name. Raises ValidationError."""
    text = msgspec.json.encode(pending).decode()
    if len(text) > MAX_IMPORT_BYTES:
        raise ValidationError(
            "The descriptions of all tools together are longer than "
            f"{MAX_IMPORT_BYTES // 2**20} MiB. "
            "Split the document."
        )
    name = secrets.token_urlsafe(16)
    try:
        cache.set(key_of(name), encrypt(text), OFFER_TTL_SECONDS)
    except redis.RedisError as error:
        raise ValidationError("Redis does not answer. Try again.") from error
    return name


def load_offer(name: str, *, user: int) -> ImportCandidates | None:
    """Return the candidates that were stored for this user. None if they have expired."""
    try:
        sealed = cache.get(key_of(name))
        text = decrypt(sealed) if isinstance(sealed, str) else ""
        pending = msgspec.json.decode(text, type=ImportCandidates) if text else None
    except (redis.RedisError, SecretUnreadable, msgspec.ValidationError):
        # Redis is unavailable, or another version has stored it: treat it as expired.
        return None
    return pending if pending is not None and pending.user == user else None


def delete_offer(name: str) -> None:
    """Delete candidates. If Redis is unavailable, they expire."""
    try:
        cache.delete(key_of(name))
    except redis.RedisError:
        return


def key_of(name: str) -> str:
    return f"tool-offer:{name}"
