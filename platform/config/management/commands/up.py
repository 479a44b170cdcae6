"""`manage.py up`: everything on this machine, with one command."""

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
    help = "Start PostgreSQL, Valkey, a small model and all of Tenantry on this machine."
    requires_system_checks = []

    def handle(self, **_: Any) -> None:
        plan = read_plan(os.environ)
        try:
            sys.exit(run(plan))
        except CannotStart as error:
            sys.exit(f"\n{error}")
        except KeyboardInterrupt:
            sys.exit("\nStopped.")


def run(plan: StartOptions) -> int:
    from embedded.preflight import require_wheels

    require_wheels()
    # Imports the wheels, so only after the sentence that says which of them are missing.
    from embedded.stack import run_stack

    return run_stack(plan)


def read_plan(values: Mapping[str, str]) -> StartOptions:
    """The plan that the environment asks for. Raises ConfigurationError."""
    env = Environment(values)
    home = env.text("TENANTRY_HOME", default=str(CHECKOUT / ".tenantry"), says="State.")
    console = env.port(
        "TENANTRY_CONSOLE_PORT",
        default=DEFAULT_PORTS["TENANTRY_CONSOLE_PORT"],
        says="Port of the console.",
    )
    gateway = env.port(
        "TENANTRY_GATEWAY_PORT",
        default=DEFAULT_PORTS["TENANTRY_GATEWAY_PORT"],
        says="Port of the gateway.",
    )
    return StartOptions(
        checkout=CHECKOUT,
        home=Home(path=Path(home).resolve()),
        bind=env.text("TENANTRY_BIND", default="127.0.0.1", says="Address to listen on."),
        console_port=console,
        gateway_port=gateway,
        engine_port=env.port(
            "TENANTRY_ENGINE_PORT",
            default=DEFAULT_PORTS["TENANTRY_ENGINE_PORT"],
            says="Port of the engine.",
        ),
        console_url=env.text(
            "TENANTRY_CONSOLE_URL", default=f"http://127.0.0.1:{console}", says="Console."
        ),
        gateway_url=env.text(
            "TENANTRY_GATEWAY_URL", default=f"http://127.0.0.1:{gateway}", says="Gateway."
        ),
        database_url=env.url(
            "DATABASE_URL", default="", schemes=("postgresql", "postgres"), says="PostgreSQL."
        ),
        redis_url=env.url(
            "REDIS_URL", default="", schemes=("redis", "rediss", "unix"), says="Redis."
        ),
        drain_seconds=env.seconds("TENANTRY_DRAIN_SECONDS", default=3, says="Time to drain."),
        environment=dict(values),
    )
