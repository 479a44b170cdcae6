"""Settings of the gateway: no middleware, no sessions, no templates; only models and Channels."""

from config.settings.base import *  # noqa: F403 - Django's idiom for layered settings
from config.settings.base import (
    BASE_DIR,
    DATABASE_POOL_SIZE,
    DATABASE_URL,
    HOME,
    IS_LOCAL,
    REDIS_URL,
    database,
    env,
)

PLANE = "gateway"

# Apps whose models the loaders read, and nothing that belongs to a browser.
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "channels",
    "kernel",
    "tenants",
    "inference",
    "agents",
    "config.apps.ConfigConfig",
]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "config.urls"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "tenantry:channels"},
    }
}

STATEMENT_POOL_SIZE = DATABASE_POOL_SIZE // 2
"""Connections for single statements that clients wait for; database threads have the others."""
DATABASES = {"default": database(DATABASE_URL, pool_size=DATABASE_POOL_SIZE - STATEMENT_POOL_SIZE)}
GATEWAY_WORKERS = env.integer(
    "TENANTRY_GATEWAY_WORKERS", default=1, at_least=1, says="Gateway worker processes."
)
ALLOWED_ORIGINS = env.listed(
    "TENANTRY_ALLOWED_ORIGINS",
    says="Browser origins that may call the gateway (CORS) and open sockets, comma-separated; "
    "* for all. Loopback origins always may in the embedded stack.",
)
TENANT_SOCKETS = env.integer(
    "TENANTRY_TENANT_SOCKETS",
    default=2000,
    at_least=1,
    says="Sockets that one tenant may have open at each gateway worker.",
)
CLIENT_CONNECTIONS = env.integer(
    "TENANTRY_CLIENT_CONNECTIONS",
    default=2000,
    at_least=0,
    says="Connections that one client address may have open at each gateway worker; 0 is no "
    "limit. Trusted proxies have none.",
)
MAX_BODY_BYTES = env.integer(
    "TENANTRY_MAX_BODY_BYTES", default=4 * 1024 * 1024, says="Largest request body, in bytes."
)
UPSTREAM_CONNECTIONS = env.integer(
    "TENANTRY_UPSTREAM_CONNECTIONS",
    default=2000,
    at_least=1,
    says="Most open connections to engines per gateway worker.",
)
DRAIN_SECONDS = env.seconds(
    "TENANTRY_DRAIN_SECONDS", default=600, says="How long a stopping gateway lets streams finish."
)
LEAVE_SECONDS = env.seconds(
    "TENANTRY_LEAVE_SECONDS",
    default=3,
    says="How long a stopping gateway still takes requests while it says that it is not ready.",
)
SPOOL_DIR = env.text(
    "TENANTRY_SPOOL_DIR",
    default=str(HOME / "spool") if IS_LOCAL else "/var/lib/tenantry/spool",
    says="Folder in which usage waits while PostgreSQL is away; of this machine, and kept.",
)
METRICS_DIR = env.text(
    "PROMETHEUS_MULTIPROC_DIR",
    default="",
    says="Folder in which gateway workers share their metrics; emptied at every start.",
)

__all__ = ["BASE_DIR", "IS_LOCAL"]
