"""Runs Django's deployment checks and the check for missing migrations, as production would.

They need settings, so secrets are drawn for the occasion; `check` needs no server, and
`makemigrations --check` asks the database of the test servers.
"""

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / "platform")]

from embedded.servers.postgres import start_postgres  # noqa: E402 - after the path is set
from embedded.servers.server import stop_server  # noqa: E402 - the same


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tenantry-check-") as folder:
        server = start_postgres(Path(folder) / "postgres")
        try:
            environment = production(server.url, home=folder)
            manage("check", "--deploy", "--fail-level", "WARNING", environment=environment)
            manage("makemigrations", "--check", "--dry-run", environment=environment)
        finally:
            stop_server(server)


def production(database_url: str, *, home: str) -> dict[str, str]:
    return {
        **os.environ,
        "TENANTRY_HOME": home,
        "TENANTRY_ENVIRONMENT": "production",
        "TENANTRY_SECRET_KEY": secrets.token_urlsafe(60),
        "TENANTRY_KEY_PEPPERS": secrets.token_hex(32),
        "TENANTRY_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "TENANTRY_ALLOWED_HOSTS": "console.example.org",
        "TENANTRY_CONSOLE_URL": "https://console.example.org",
        "TENANTRY_GATEWAY_URL": "https://api.example.org",
        "DATABASE_URL": database_url,
        "REDIS_URL": "redis://127.0.0.1:6379/0",
    }


def manage(*arguments: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=CHECKOUT, env=environment, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
