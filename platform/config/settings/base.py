"""What console, gateway and Celery share. Everything that differs per installation is read here."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import django_stubs_ext

from config.env import ConfigurationError, Environment, read_env_file
from kernel.logs import logging_config
from kernel.storage.postgres import Connection

# `ModelAdmin[Model]` is an error at run time without this.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parents[3]
HOME = Path(os.environ.get("TENANTRY_HOME") or BASE_DIR / ".tenantry")

# Without a DATABASE_URL the embedded stack of this checkout is meant: `make run` leaves its
# addresses and secrets in this file, so that `python manage.py shell` finds the same database.
env = Environment({**read_env_file(HOME / "stack.env"), **os.environ})
env.text("TENANTRY_HOME", default=".tenantry", says="Folder of the embedded stack's state.")

DEBUG = env.boolean(
    "TENANTRY_DEBUG", default=False, says="Show stack traces to the browser. Never in production."
)
SECRET_KEY = env.required_secret(
    "TENANTRY_SECRET_KEY", says="The console signs its sessions with it (50 or more characters)."
)
KEY_PEPPERS = env.required_secrets(
    "TENANTRY_KEY_PEPPERS",
    says="Server-side secrets mixed into the digest of every API key, comma-separated; the first "
    "one digests new keys, the others still verify old ones.",
)
ENCRYPTION_KEYS = env.required_secrets(
    "TENANTRY_ENCRYPTION_KEYS",
    says="Fernet keys for stored credentials, comma-separated; the first one encrypts.",
)

DATABASE_URL = env.url(
    "DATABASE_URL",
    default="",
    schemes=("postgresql", "postgres"),
    says="PostgreSQL, for example postgresql://user:password@host:5432/tenantry.",
)
REDIS_URL = env.url(
    "REDIS_URL",
    default="",
    schemes=("redis", "rediss", "unix"),
    says="Redis or Valkey for cache, channel layer, Celery broker and pushes.",
)
if not DATABASE_URL or not REDIS_URL:
    missing = "DATABASE_URL" if not DATABASE_URL else "REDIS_URL"
    raise ConfigurationError(
        f"{missing} is not set. Set it to your server, or start the embedded one with `make run`."
    )
REDIS_LIMITS_URL = env.url(
    "REDIS_LIMITS_URL",
    default=REDIS_URL,
    schemes=("redis", "rediss", "unix"),
    says="Redis or Valkey for limits and one-use tickets, if it should be a server of its own.",
)
DATABASE_POOL_SIZE = env.integer(
    "TENANTRY_DATABASE_POOL_SIZE",
    default=8,
    at_least=2,
    says="Most PostgreSQL connections that one process opens.",
)


DATABASE_WAIT_SECONDS = 1.8
"""For a connection, a new one or one that is in use: within 2 s it is told that there is none."""


def database(url: str, *, pool_size: int) -> dict[str, Any]:
    """Django's settings for one PostgreSQL. The pool is psycopg's own, as Django 5.1+ knows it."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        raise ConfigurationError(
            "DATABASE_URL cannot be read as a PostgreSQL address. "
            "It looks like postgresql://user:password@host:5432/name."
        ) from None
    names = {
        "dbname": "NAME",
        "user": "USER",
        "password": "PASSWORD",
        "host": "HOST",
        "port": "PORT",
    }
    options = {name: value for name, value in parts.items() if name not in names}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **{ours: str(parts.get(theirs) or "") for theirs, ours in names.items()},
        # Under ASGI every request may run on a fresh thread: persistent connections would leak.
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            "connect_timeout": 3,
            # A machine that is gone sends no end of a connection.
            "keepalives_idle": 10,
            "keepalives_interval": 3,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            **options,
            "pool": {
                "connection_class": Connection,
                "min_size": 0,
                "max_size": pool_size,
                "timeout": DATABASE_WAIT_SECONDS,
                "max_lifetime": 600,
                # Left alone, a pool waits twice as long after each attempt: as long as PostgreSQL
                # was away, it would go unused when it is back.
                "reconnect_timeout": 1,
            },
        },
    }


DATABASES = {"default": database(DATABASE_URL, pool_size=DATABASE_POOL_SIZE)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "tenants.User"

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

LOG_FORMAT = env.choice(
    "TENANTRY_LOG_FORMAT",
    default="json",
    options=("json", "text"),
    says="One JSON object per line, or lines for people.",
)
LOG_LEVEL = env.choice(
    "TENANTRY_LOG_LEVEL",
    default="INFO",
    options=("DEBUG", "INFO", "WARNING", "ERROR"),
    says="Least severity that is logged.",
)
LOGGING = logging_config(form=LOG_FORMAT, level=LOG_LEVEL)

ENVIRONMENT = env.choice(
    "TENANTRY_ENVIRONMENT",
    default="production",
    options=("production", "embedded", "test"),
    says="`embedded` and `test` allow plain HTTP on loopback and model endpoints on loopback.",
)
IS_LOCAL = ENVIRONMENT != "production"
LOOPBACK_ENDPOINTS = env.boolean(
    "TENANTRY_LOOPBACK_ENDPOINTS",
    default=IS_LOCAL,
    says="Whether model endpoints may be on loopback: where all runs on one machine.",
)

CONSOLE_PORT = env.port("TENANTRY_CONSOLE_PORT", default=8000, says="Port of the console.")
GATEWAY_PORT = env.port("TENANTRY_GATEWAY_PORT", default=8080, says="Port of the gateway.")
ENGINE_PORT = env.port("TENANTRY_ENGINE_PORT", default=8090, says="Port of the embedded engine.")
BIND = env.text("TENANTRY_BIND", default="127.0.0.1", says="Address that servers listen on.")
CONSOLE_URL = env.text(
    "TENANTRY_CONSOLE_URL",
    default=f"http://127.0.0.1:{CONSOLE_PORT}",
    says="Where browsers and engines reach the console.",
)
GATEWAY_URL = env.text(
    "TENANTRY_GATEWAY_URL",
    default=f"http://127.0.0.1:{GATEWAY_PORT}",
    says="Where tenants reach the gateway; shown in the console's examples.",
)
ALLOWED_HOSTS = env.listed(
    "TENANTRY_ALLOWED_HOSTS",
    default="localhost,127.0.0.1,[::1]" if IS_LOCAL else "",
    says="Host names the console answers to, comma-separated.",
)
HEARTBEAT_SECONDS = env.seconds(
    "TENANTRY_HEARTBEAT_SECONDS", default=5, says="How often an engine reports that it is alive."
)
ENDPOINT_EXPIRY_SECONDS = env.seconds(
    "TENANTRY_ENDPOINT_EXPIRY_SECONDS",
    default=30,
    says="Silence after which a registered endpoint is taken out.",
)
RUN_LOG_SECONDS = env.integer(
    "TENANTRY_RUN_LOG_SECONDS",
    default=3600,
    at_least=1,
    says="How long the events of a response can be read again after its end.",
)

EGRESS_ALLOW = env.targets(
    "TENANTRY_EGRESS_ALLOW",
    says="Networks, addresses and host names that are not public, but to which messages for "
    "tenants may be sent, comma-separated.",
)
EGRESS_PORTS = env.ports(
    "TENANTRY_EGRESS_PORTS",
    default="443,8443",
    says="Ports to which messages for tenants may be sent, comma-separated.",
)
EGRESS_HTTP = env.boolean(
    "TENANTRY_EGRESS_HTTP",
    default=False,
    says="Whether messages for tenants may be sent unencrypted.",
)
EMAIL_URL = env.url(
    "TENANTRY_EMAIL_URL",
    default="",
    schemes=("smtp", "smtps", "console"),
    says="Where e-mails are handed in; console:// writes them into the log of the worker.",
)
DEFAULT_FROM_EMAIL = env.text(
    "TENANTRY_EMAIL_FROM",
    default="tenantry@localhost",
    says="Sender of e-mails.",
)


def mail(url: str) -> dict[str, Any]:
    """Django's settings for sending e-mails. `smtp` switches to TLS, `smtps` begins with it."""
    parts = urlsplit(url)
    if parts.scheme in {"", "console"}:
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname or "localhost",
        "EMAIL_PORT": parts.port or (465 if parts.scheme == "smtps" else 587),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp" and bool(parts.username),
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_TIMEOUT": 10,
    }


globals().update(mail(EMAIL_URL))

TRUSTED_PROXIES = env.text(
    "TENANTRY_TRUSTED_PROXIES",
    default="127.0.0.1",
    says="Proxies whose X-Forwarded-For is believed, comma-separated addresses or networks.",
)
