"""Settings of the console: the Django admin, the management API, Celery."""

import os
from datetime import timedelta

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.urls import reverse_lazy
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.console import navigation
from config.settings.base import *  # noqa: F403 - Django's idiom for layered settings
from config.settings.base import (
    BASE_DIR,
    CONSOLE_URL,
    DATABASES,
    IS_LOCAL,
    REDIS_URL,
    env,
    logging_of,
)

PLANE = "console"
LOGGING = logging_of(PLANE)

# The variable of the gateway, in an environment that both share: the modules imported below would
# serve the gateway's metrics instead of the console's.
for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
    os.environ.pop(name, None)

INSTALLED_APPS = [
    "daphne",  # before staticfiles: it replaces runserver
    "unfold.apps.BasicAppConfig",  # the default one would replace our admin site
    "unfold.contrib.filters",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "config.apps.ConsoleAdminConfig",
    "channels",
    "auditlog",
    "axes",
    "csp",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_prometheus",
    "kernel",
    "tenants",
    "inference",
    "agents",
    "config.apps.ConfigConfig",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.console.outages.OutageMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.console.client_address.AuditMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: it refuses before passwords are checked
    "django.contrib.auth.backends.ModelBackend",
]
# By name and address together, so that failures from elsewhere do not lock an operator out.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = env.integer(
    "TENANTRY_SIGN_IN_ATTEMPTS",
    default=5,
    at_least=1,
    description="Maximum number of wrong passwords for one name from one address.",
)
AXES_COOLOFF_TIME = timedelta(
    minutes=env.integer(
        "TENANTRY_SIGN_IN_LOCKOUT_MINUTES",
        default=15,
        at_least=1,
        description="Duration of the lockout of a name at an address, in minutes.",
    )
)
# A lockout ends at its time, even if there are more attempts meanwhile.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "config.console.login_lockout.visitors_address"
AXES_USERNAME_CALLABLE = "config.console.login_lockout.counted_name"
AXES_LOCKOUT_CALLABLE = "config.console.login_lockout.answer_locked_out"
# Only failures are stored, until their lockout ends.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

FORMAT_MODULE_PATH = "config.formats"

UNFOLD = navigation.UNFOLD

# The context of limits must not import that of routes, so that it calls this function.
ROUTE_NAMES = "inference.selectors.route_names"

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static"
# Serves the apps' own files without a `collectstatic` before the first start.
WHITENOISE_USE_FINDERS = IS_LOCAL
WHITENOISE_AUTOREFRESH = False

# The pool detects a dead connection before it returns it, so that no query fails.
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

REDIS_CACHE = {
    "BACKEND": "django.core.cache.backends.redis.RedisCache",
    "LOCATION": REDIS_URL,
    "KEY_PREFIX": "tenantry:cache",
    "OPTIONS": {
        "pool_class": "kernel.storage.redis.RedisPool",
        "serializer": "kernel.storage.json_cache.JsonSerializer",
        "socket_timeout": 1.0,
        "socket_connect_timeout": 1.0,
        "retry": Retry(NoBackoff(), 0),
    },
}
CACHES = {
    "default": REDIS_CACHE,
    "sessions": {**REDIS_CACHE, "BACKEND": "config.console.session_cache.SessionCache"},
}
SESSION_CACHE_ALIAS = "sessions"
# A flushed Redis must not end sessions.
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = not IS_LOCAL
CSRF_COOKIE_SECURE = not IS_LOCAL
CSRF_TRUSTED_ORIGINS = [CONSOLE_URL]
SECURE_SSL_REDIRECT = not IS_LOCAL
SECURE_HSTS_SECONDS = 0 if IS_LOCAL else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = not IS_LOCAL
SECURE_HSTS_PRELOAD = not IS_LOCAL
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^health$", r"^readyz$", r"^ready$", r"^metrics$"]
X_FRAME_OPTIONS = "DENY"
# Only our own script files, so that injected markup executes nothing.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # Alpine, with which unfold's pages are written, compiles their attributes.
        "script-src": [SELF, UNSAFE_EVAL],
        # Bars and columns have their sizes in attributes.
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "tenantry:channels"},
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tenants.api.authentication.OperatorTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "config.api.conventions.Pages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.api.conventions.answer_failure",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["tenants.api.parser.StorableJsonParser"],
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
REST_KNOX = {
    "TOKEN_TTL": timedelta(days=30),
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_PREFIX": "tno_",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tenantry management API",
    "DESCRIPTION": "All functions of the console for scripts. Tenants use the OpenAI-compatible "
    "API of the gateway, which is not described here.",
    "VERSION": "v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/(api|internal)/v1",
    "ENUM_NAME_OVERRIDES": {
        "MemberRole": "tenants.models.Membership.Role",
        "DeliveryState": "agents.models.message.DeliveryState",
        "NodeKind": "agents.models.node.NodeKind",
        "NodeState": "agents.models.node.NodeState",
        "RolloutState": "agents.models.choices.RolloutState",
        "ToolKind": "agents.models.choices.ToolKind",
        "ScalingSelect": "inference.models.scaling_policy.Select",
        "TargetRole": "inference.models.RouteTarget.Role",
        "TenantStatus": "tenants.models.Tenant.Status",
        "RecipientKind": "tenants.models.AlertRecipient.Kind",
        "RequestKind": "tenants.models.limit_rules.RequestKind",
        "RedisOutagePolicy": "tenants.models.limit_rules.QuotaLimitRule.Outage",
        "UsageKind": "tenants.models.UsageEvent.Kind",
        "UsageStatus": "tenants.models.UsageEvent.Status",
        "KeyStatus": ("active", "blocked", "expired"),
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.api.document.describe_failures",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

PROMETHEUS_URL = env.url(
    "TENANTRY_PROMETHEUS_URL",
    default="",
    schemes=("http", "https"),
    description="URL of the Prometheus server that scaling policies query for CPU, memory and GPU.",
)
SAMPLE_DAYS = env.integer(
    "TENANTRY_SAMPLE_DAYS",
    default=8,
    at_least=1,
    description="Days for which samples of pools, one per 15 seconds, are stored.",
)

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_TIME_LIMIT = 300
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Retry without limit: a worker that gives up would have to be restarted.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": "tenantry:celery:"}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
