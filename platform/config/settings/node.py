"""Settings of an agent node: those of a gateway, with a port for health checks and metrics."""

from config.settings.base import env, logging_of
from config.settings.gateway import *  # noqa: F403 - Django's idiom for layered settings

PLANE = "node"
LOGGING = logging_of(PLANE)

NODE_PORT = env.integer(
    "TENANTRY_NODE_PORT",
    default=8081,
    at_least=1,
    description="Port of the health checks and metrics of an agent node.",
)
