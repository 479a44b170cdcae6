"""Settings of the gateway: no middleware, no sessions, no templates; only models and Channels."""

from config.node.options import ensure_place
from config.settings.base import *  # noqa: F403 - Django's idiom for layered settings
from config.settings.base import (
    DATABASE_POOL_SIZE,
    DATABASE_URL,
    HOME,
    IS_LOCAL,
    POD_NAME,
    REDIS_URL,
    database,
    env,
    logging_of,
)

PLANE = "gateway"
ACCESS_LOG = env.boolean(
    "TENANTRY_ACCESS_LOG",
    default=False,
    description="Whether the gateway logs one line per request.",
)
LOGGING = logging_of(PLANE, access_level="INFO" if ACCESS_LOG else "WARNING")

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
    "TENANTRY_GATEWAY_WORKERS", default=1, at_least=1, description="Gateway worker processes."
)
ALLOWED_ORIGINS = env.origins(
    "TENANTRY_ALLOWED_ORIGINS",
    description="Browser origins that may call the gateway (CORS) and open sockets, "
    "comma-separated; "
    "* for all. The embedded stack always allows loopback origins.",
)
TENANT_SOCKETS = env.integer(
    "TENANTRY_TENANT_SOCKETS",
    default=2000,
    at_least=1,
    description="Maximum number of open sockets per tenant and gateway worker.",
)
CLIENT_CONNECTIONS = env.integer(
    "TENANTRY_CLIENT_CONNECTIONS",
    default=2000,
    at_least=0,
    description="Maximum number of open connections per client address and gateway worker; 0 is no "
    "limit. Trusted proxies are exempt.",
)
MAX_BODY_BYTES = env.integer(
    "TENANTRY_MAX_BODY_BYTES",
    default=4 * 1024 * 1024,
    at_least=1,
    description="Maximum request body, in bytes.",
)
UPSTREAM_CONNECTIONS = env.integer(
    "TENANTRY_UPSTREAM_CONNECTIONS",
    default=2000,
    at_least=1,
    description="Maximum number of open connections to engines per gateway worker.",
)
DRAIN_SECONDS = env.seconds(
    "TENANTRY_DRAIN_SECONDS", default=600, description="Time for streams to finish at a shutdown."
)
LEAVE_SECONDS = env.seconds(
    "TENANTRY_LEAVE_SECONDS",
    default=3,
    description="Time for which a gateway still accepts requests at a shutdown, while it is not "
    "ready.",
)
TASK_STRATEGY = env.choice(
    "TENANTRY_TASK_STRATEGY",
    default="least_requests",
    options=(
        *("least_requests", "weighted_least_requests", "round_robin", "weighted_round_robin"),
        *("random", "two_choices", "consistent_hash", "zone_first"),
    ),
    description="Strategy that chooses the agent of a task among those with its capabilities.",
)
SPOOL_DIR = env.text(
    "TENANTRY_SPOOL_DIR",
    default=str(HOME / "spool") if IS_LOCAL else "/var/lib/tenantry/spool",
    description="Folder for usage records while PostgreSQL is unavailable; local and persistent.",
)
METRICS_DIR = env.text(
    "PROMETHEUS_MULTIPROC_DIR",
    default="",
    description="Folder in which gateway workers share their metrics; emptied at every start.",
)
IN_POD = any(name in env.values for name in ("POD_NAME", "KUBERNETES_SERVICE_HOST"))
NODE_POD = POD_NAME if IN_POD else ""
"""Name of the pod, which only one process of a kind has at a time; empty on a machine."""
NODE_NAME = env.text(
    "TENANTRY_NODE_NAME",
    default="",
    description="Name of an agent node. Empty: the name of the pod, or host and process id.",
)
NODE_ZONE = env.text(
    "TENANTRY_NODE_ZONE", default="", description="Zone of a gateway or an agent node."
)
NODE_LABELS = env.listed(
    "TENANTRY_NODE_LABELS",
    description="Labels of a gateway or an agent node, as key=value, comma-separated.",
)
ensure_place(zone=NODE_ZONE, labels=NODE_LABELS)
NODE_CAPABILITIES = env.listed(
    "TENANTRY_NODE_CAPABILITIES", description="Capabilities of an agent node, comma-separated."
)
NODE_WEIGHT = env.integer(
    "TENANTRY_NODE_WEIGHT",
    default=1,
    at_least=1,
    description="Share of the runs of an agent node, compared with other nodes.",
)
NODE_SLOTS = env.integer(
    "TENANTRY_NODE_SLOTS",
    default=16,
    at_least=1,
    description="Maximum number of runs of an agent node at the same time.",
)
NODE_TOKEN = env.secret(
    "TENANTRY_NODE_TOKEN", description="The node token with which an agent node registers."
)
