"""The secrets of one embedded stack: drawn once, kept in `secrets.env`, the same at every start."""

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
    """All secrets from `path`; those it lacks are drawn and added, those it has never change."""
    kept = read_env_file(path)
    drawn = {name: draw() for name, draw in GENERATORS.items() if not kept.get(name)}
    if drawn:
        about = "Secrets of this embedded stack. Without them its stored credentials are lost."
        write_env_file(path, {**kept, **drawn}, about=about)
    return {**kept, **drawn}
