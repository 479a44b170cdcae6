"""Stored secrets: encrypted with a Fernet key, write-only in forms, never in a log."""

from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

from kernel.errors import PlatformError


class SecretUnreadable(PlatformError):
    """A stored credential cannot be decrypted. Enter it again, or restore the encryption key."""

    code = "secret_unreadable"


def cipher() -> MultiFernet:
    """Return the cipher.

    The first key encrypts; every key decrypts, so that keys can be rotated.
    """
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])


def encrypt(text: str) -> str:
    """Encrypt a text with the first key. An empty text stays empty."""
    return cipher().encrypt(text.encode()).decode() if text else ""


def decrypt(ciphertext: str) -> str:
    """Decrypt a text. Raises SecretUnreadable if no configured key fits."""
    if not ciphertext:
        return ""
    try:
        return cipher().decrypt(ciphertext.encode()).decode()
    except InvalidToken as error:
        raise SecretUnreadable from error


class EncryptedTextField(models.TextField[str, str]):
    """A secret that is stored as ciphertext, read and written as plain text. Not searchable."""

    def get_prep_value(self, value: Any) -> Any:
        return encrypt(value) if value else ""

    def from_db_value(self, value: str, *_: Any) -> str:
        return decrypt(value)
