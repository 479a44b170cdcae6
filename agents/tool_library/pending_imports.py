"""An offer between the page that shows it and the one that takes it up: encrypted, in the cache.

So what is stored is what was shown, and a credential need not be typed twice nor stand in a page.
"""

import secrets
from dataclasses import dataclass, field

import msgspec
import redis
from django.core.cache import cache
from django.core.exceptions import ValidationError

from agents.schema.tool_candidates import Offer
from kernel.secrets import SecretUnreadable, decrypt, encrypt

KEPT_SECONDS = 30 * 60
MAX_IMPORT_BYTES = 8 * 1024 * 1024
"""Bytes of an offer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCandidates:
    """For one person, and one tenant."""

    user: int
    tenant: int
    offer: Offer
    prefix: str = ""
    secret: str = field(default="", repr=False)


def keep_offer(kept: ImportCandidates) -> str:
    """Under a name that nobody guesses. Raises ValidationError: too large, or Redis is away."""
    text = msgspec.json.encode(kept).decode()
    if len(text) > MAX_IMPORT_BYTES:
        raise ValidationError(
            "The descriptions of all tools together are longer than "
            f"{MAX_IMPORT_BYTES // 2**20} MiB. "
            "Split the document."
        )
    name = secrets.token_urlsafe(16)
    try:
        cache.set(key_of(name), encrypt(text), KEPT_SECONDS)
    except redis.RedisError as error:
        raise ValidationError("Redis does not answer. Try again.") from error
    return name


def find_offer(name: str, *, user: int) -> ImportCandidates | None:
    """What was kept for this person; None if it was never there, or is not any more."""
    try:
        sealed = cache.get(key_of(name))
        text = decrypt(sealed) if isinstance(sealed, str) else ""
        kept = msgspec.json.decode(text, type=ImportCandidates) if text else None
    except (redis.RedisError, SecretUnreadable, msgspec.ValidationError):
        # Away, or kept by another version: to who asks, it is not there any more.
        return None
    return kept if kept is not None and kept.user == user else None


def forget_offer(name: str) -> None:
    """As far as Redis can be reached: it forgets by itself, too."""
    try:
        cache.delete(key_of(name))
    except redis.RedisError:
        return


def key_of(name: str) -> str:
    return f"tool-offer:{name}"
