"""The secrets of an embedded stack, generated once and stored in `secrets.env`."""

import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet

from kernel.env_file import read_env_file, write_env_file

GENERATORS: dict[str, Callable[[], str]] = {
    "TENANTRY_SECRET_KEY": lambda: secrets.token_urlsafe(50),
    "TENANTRY_KEY_PEPPERS": lambda: secrets.token_hex(32),
    "TENANTRY_ENCRYPTION_KEYS": lambda: Fernet.generate_key().decode(),
    "TENANTRY_OPERATOR_PASSWORD": lambda: secrets.token_urlsafe(15),
    "TENANTRY_VALKEY_PASSWORD": lambda: secrets.token_hex(24),
}


def ensure_secrets(path: Path) -> dict[str, str]:
    """Return the secrets in `path`; missing ones are generated and added to the file."""
    saved = read_env_file(path)
    new = {name: generate() for name, generate in GENERATORS.items() if not saved.get(name)}
    if new:
        about = "Secrets of this embedded stack. Without them its stored credentials are lost."
        write_env_file(path, {**saved, **new}, about=about)
    return {**saved, **new}
