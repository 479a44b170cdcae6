"""Settings of the tests: the console's, on the servers that `tests/conftest.py` started."""

import os
import tempfile

# Tests bring their own servers (`tests/conftest.py` sets the URLs); type checkers bring none.
os.environ.setdefault("TENANTRY_ENVIRONMENT", "test")
os.environ.setdefault("TENANTRY_SECRET_KEY", "only-for-tests-" * 4)
os.environ.setdefault("TENANTRY_KEY_PEPPERS", "only-for-tests-pepper")
os.environ.setdefault("TENANTRY_ENCRYPTION_KEYS", "b25seS1mb3ItdGVzdHMtb25seS1mb3ItdGVzdHMtb24=")
os.environ.setdefault("DATABASE_URL", "postgresql://localhost/tenantry")
os.environ.setdefault("REDIS_URL", "redis://localhost:6379/0")

from config.settings.console import *  # noqa: F403 - Django's idiom for layered settings
from config.settings.gateway import (  # the gateway's own, so that its parts can be tested too
    ALLOWED_ORIGINS,
    CLIENT_CONNECTIONS,
    GATEWAY_WORKERS,
    LEAVE_SECONDS,
    MAX_BODY_BYTES,
    NODE_CAPABILITIES,
    NODE_LABELS,
    NODE_NAME,
    NODE_POD,
    NODE_SLOTS,
    NODE_TOKEN,
    NODE_WEIGHT,
    NODE_ZONE,
    STATEMENT_POOL_SIZE,
    TASK_STRATEGY,
    TENANT_SOCKETS,
    UPSTREAM_CONNECTIONS,
)

# Not the spool of a stack that runs from this checkout: its records would get into the tables.
SPOOL_DIR = os.path.join(tempfile.gettempdir(), f"tenantry-test-spool-{os.getpid()}")  # noqa: PTH118
# Tests stop gateways that have active requests.
DRAIN_SECONDS = 5.0
# A fast hash, because passwords of tests need no protection.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Static files come from the apps; a missing folder would be a warning, which fails a test.
STATIC_ROOT = None  # type: ignore[assignment]
# Otherwise each test client would search the static files of all apps first.
WHITENOISE_AUTOREFRESH = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

__all__ = [
    "ALLOWED_ORIGINS",
    "CLIENT_CONNECTIONS",
    "GATEWAY_WORKERS",
    "LEAVE_SECONDS",
    "MAX_BODY_BYTES",
    "NODE_CAPABILITIES",
    "NODE_LABELS",
    "NODE_NAME",
    "NODE_POD",
    "NODE_SLOTS",
    "NODE_TOKEN",
    "NODE_WEIGHT",
    "NODE_ZONE",
    "SPOOL_DIR",
    "STATEMENT_POOL_SIZE",
    "TASK_STRATEGY",
    "TENANT_SOCKETS",
    "UPSTREAM_CONNECTIONS",
]
