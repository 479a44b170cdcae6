"""`manage.py up`: starts the whole platform on this machine."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from config.env import Environment
from embedded.errors import CannotStart
from embedded.options import StartOptions
from embedded.servers.ports import DEFAULT_PORTS
from embedded.state_dir import Home

CHECKOUT = Path(__file__).resolve().parents[4]


class Command(BaseCommand):
    help = "Start PostgreSQL, Valkey, a small model and Tenantry on this machine."
    requires_system_checks = []

    def handle(self, **_: Any) -> None:
        options = read_options(os.environ)
        try:
            sys.exit(run(options))
        except CannotStart as error:
            sys.exit(f"\n{error}")
        except KeyboardInterrupt:
            sys.exit("\nStopped.")


def run(options: StartOptions) -> int:
    from embedded.preflight import require_wheels

    require_wheels()
    # It imports the wheels, so the check comes first, which names the missing ones.
    from embedded.stack import run_stack

    return run_stack(options)


def read_options(values: Mapping[str, str]) -> StartOptions:
    """Return the options that the environment sets. Raises ConfigurationError."""
    env = Environment(values)
    home = env.text("TENANTRY_HOME", default=str(CHECKOUT / ".tenantry"), description="State.")
    console = env.port(
        "TENANTRY_CONSOLE_PORT",
        default=DEFAULT_PORTS["TENANTRY_CONSOLE_PORT"],
        description="Port of the console.",
    )
    gateway = env.port(
        "TENANTRY_GATEWAY_PORT",
        default=DEFAULT_PORTS["TENANTRY_GATEWAY_PORT"],
        description="Port of the gateway.",
    )
    return StartOptions(
        checkout=CHECKOUT,
        home=Home(path=Path(home).resolve()),
        bind=env.text("TENANTRY_BIND", default="127.0.0.1", description="Address to listen on."),
        console_port=console,
        gateway_port=gateway,
        engine_port=env.port(
            "TENANTRY_ENGINE_PORT",
            default=DEFAULT_PORTS["TENANTRY_ENGINE_PORT"],
            description="Port of the engine.",
        ),
        node_port=env.port(
            "TENANTRY_NODE_PORT",
            default=DEFAULT_PORTS["TENANTRY_NODE_PORT"],
            description="Port of the agent node.",
        ),
        console_url=env.text(
            "TENANTRY_CONSOLE_URL", default=f"http://127.0.0.1:{console}", description="Console."
        ),
        gateway_url=env.text(
            "TENANTRY_GATEWAY_URL", default=f"http://127.0.0.1:{gateway}", description="Gateway."
        ),
        database_url=env.url(
            "DATABASE_URL",
            default="",
            schemes=("postgresql", "postgres"),
            description="PostgreSQL.",
        ),
        redis_url=env.url(
            "REDIS_URL", default="", schemes=("redis", "rediss", "unix"), description="Redis."
        ),
        drain_seconds=env.seconds(
            "TENANTRY_DRAIN_SECONDS", default=3, description="Time to drain."
        ),
        environment=dict(values),
    )
