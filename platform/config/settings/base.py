"""Settings that console, gateway and Celery share, read from the environment."""

import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import django_stubs_ext

from config.env import ConfigurationError, Environment, read_env_file
from kernel.logs import logging_config
from kernel.storage.postgres import PooledConnection

# `ModelAdmin[Model]` is an error at run time without this.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parents[3]
HOME = Path(os.environ.get("TENANTRY_HOME") or BASE_DIR / ".tenantry")

# Without a DATABASE_URL the embedded stack of this checkout is used: `make run` writes its
# addresses and secrets to this file, so that `python manage.py shell` uses the same database.
env = Environment({**read_env_file(HOME / "stack.env"), **os.environ})
env.text("TENANTRY_HOME", default=".tenantry", description="Folder of the embedded stack's state.")

DEBUG = env.boolean(
    "TENANTRY_DEBUG",
    default=False,
    description="Show stack traces to the browser. Never in production.",
)
SECRET_KEY = env.required_secret(
    "TENANTRY_SECRET_KEY",
    min_chars=32,
    description="Signs the sessions of the console (50 or more characters).",
)
KEY_PEPPERS = env.required_secrets(
    "TENANTRY_KEY_PEPPERS",
    min_chars=16,
    description="Server-side secrets mixed into the digest of every API key, comma-separated; "
    "the first one digests new keys, the others still verify old ones.",
)
ENCRYPTION_KEYS = env.fernet_keys(
    "TENANTRY_ENCRYPTION_KEYS",
    description="Fernet keys for stored credentials, comma-separated; the first one encrypts.",
)

DATABASE_URL = env.url(
    "DATABASE_URL",
    default="",
    schemes=("postgresql", "postgres"),
    description="PostgreSQL, for example postgresql://user:password@host:5432/tenantry.",
)
REDIS_URL = env.url(
    "REDIS_URL",
    default="",
    schemes=("redis", "rediss", "unix"),
    description="Redis or Valkey for cache, channel layer, Celery broker and pushes.",
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
    description="Redis or Valkey for limits and one-use tickets, if it should be a server of its "
    "own.",
)
DATABASE_POOL_SIZE = env.integer(
    "TENANTRY_DATABASE_POOL_SIZE",
    default=8,
    at_least=2,
    description="Maximum number of PostgreSQL connections per process.",
)


DATABASE_WAIT_SECONDS = 1.8
"""Timeout for a connection of the pool. It is below 2 s, within which requests get an error."""


def database(url: str, *, pool_size: int) -> dict[str, Any]:
    """Return Django's settings for one PostgreSQL. Django 5.1+ supports psycopg's pool."""
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
            # A failed machine does not close its connections.
            "keepalives_idle": 10,
            "keepalives_interval": 3,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            **options,
            "pool": {
                "connection_class": PooledConnection,
                "min_size": 0,
                "max_size": pool_size,
                "timeout": DATABASE_WAIT_SECONDS,
                "max_lifetime": 600,
                # By default a pool doubles its pause after each failed attempt: after a long outage
                # it would stay unused for as long again.
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
    description="One JSON object per line, or lines for people.",
)
LOG_LEVEL = env.choice(
    "TENANTRY_LOG_LEVEL",
    default="INFO",
    options=("DEBUG", "INFO", "WARNING", "ERROR"),
    description="Minimum severity that is logged.",
)
POD_NAME = env.text(
    "POD_NAME",
    default=socket.gethostname(),
    description="Name of the pod or machine, which is in every log line; default: the host name.",
)


def logging_of(plane: str, *, access_level: str = "WARNING") -> dict[str, Any]:
    """Return Django's settings for the logs of a plane."""
    fields = {"plane": plane, "pod": POD_NAME}
    return logging_config(
        form=LOG_FORMAT, level=LOG_LEVEL, fields=fields, access_level=access_level
    )


ENVIRONMENT = env.choice(
    "TENANTRY_ENVIRONMENT",
    default="production",
    options=("production", "embedded", "test"),
    description="`embedded` and `test` allow plain HTTP on loopback and model endpoints on "
    "loopback.",
)
IS_LOCAL = ENVIRONMENT != "production"
LOOPBACK_ENDPOINTS = env.boolean(
    "TENANTRY_LOOPBACK_ENDPOINTS",
    default=IS_LOCAL,
    description="Whether model endpoints may be on loopback, for installations on one machine.",
)

CONSOLE_PORT = env.port("TENANTRY_CONSOLE_PORT", default=8000, description="Port of the console.")
GATEWAY_PORT = env.port("TENANTRY_GATEWAY_PORT", default=8080, description="Port of the gateway.")
ENGINE_PORT = env.port(
    "TENANTRY_ENGINE_PORT", default=8090, description="Port of the embedded engine."
)
BIND = env.address(
    "TENANTRY_BIND", default="127.0.0.1", description="Address that servers listen on."
)
CONSOLE_URL = env.url(
    "TENANTRY_CONSOLE_URL",
    default=f"http://127.0.0.1:{CONSOLE_PORT}",
    schemes=("https", "http"),
    description="URL of the console for browsers and engines.",
)
GATEWAY_URL = env.url(
    "TENANTRY_GATEWAY_URL",
    default=f"http://127.0.0.1:{GATEWAY_PORT}",
    schemes=("https", "http"),
    description="URL of the gateway for tenants, also for the console's examples.",
)
ALLOWED_HOSTS = env.listed(
    "TENANTRY_ALLOWED_HOSTS",
    default="localhost,127.0.0.1,[::1]" if IS_LOCAL else "",
    description="Host names the console answers to, comma-separated.",
)
HEARTBEAT_SECONDS = env.seconds(
    "TENANTRY_HEARTBEAT_SECONDS", default=5, description="Interval of an engine's heartbeats."
)
ENDPOINT_EXPIRY_SECONDS = env.seconds(
    "TENANTRY_ENDPOINT_EXPIRY_SECONDS",
    default=30,
    description="Time without a heartbeat after which a registered endpoint is removed.",
)
TENANT_QUEUED_RUNS = env.integer(
    "TENANTRY_TENANT_QUEUED_RUNS",
    default=10_000,
    at_least=1,
    description="Maximum number of runs per tenant that wait in the run queue.",
)
TENANT_MESSAGES_PER_MINUTE = env.integer(
    "TENANTRY_TENANT_MESSAGES_PER_MINUTE",
    default=600,
    at_least=1,
    description="Maximum number of messages to agents and topics per tenant and minute.",
)
MAX_MESSAGE_HOPS = env.integer(
    "TENANTRY_MAX_MESSAGE_HOPS",
    default=8,
    at_least=0,
    description="Maximum number of messages between agents that follow from one of a client.",
)
RUN_LOG_SECONDS = env.integer(
    "TENANTRY_RUN_LOG_SECONDS",
    default=3600,
    at_least=1,
    description="Time for which the events of a response can be resumed after its end, in seconds.",
)

A2A_ORIGINS = env.origins(
    "TENANTRY_A2A_ORIGINS",
    description="Origins at which agents of others may be although another one serves their cards, "
    "comma-separated.",
)
EGRESS_ALLOW = env.targets(
    "TENANTRY_EGRESS_ALLOW",
    description="Networks, addresses and host names that are not public, but to which messages for "
    "tenants may be sent, comma-separated.",
)
EGRESS_PORTS = env.ports(
    "TENANTRY_EGRESS_PORTS",
    default="443,8443",
    description="Ports to which messages for tenants may be sent, comma-separated.",
)
EGRESS_HTTP = env.boolean(
    "TENANTRY_EGRESS_HTTP",
    default=False,
    description="Whether messages for tenants may be sent unencrypted.",
)
EMAIL_URL = env.url(
    "TENANTRY_EMAIL_URL",
    default="",
    schemes=("smtp", "smtps", "console"),
    description="Mail server; console:// writes e-mails into the log of the worker.",
)
DEFAULT_FROM_EMAIL = env.text(
    "TENANTRY_EMAIL_FROM",
    default="tenantry@localhost",
    description="Sender of e-mails.",
)


def mail(url: str) -> dict[str, Any]:
    """Return Django's settings for e-mails. `smtp` upgrades to TLS, `smtps` starts with it."""
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

TRUSTED_PROXIES = env.networks(
    "TENANTRY_TRUSTED_PROXIES",
    default="127.0.0.1",
    description="Proxies whose X-Forwarded-For is trusted, comma-separated addresses or networks.",
)
