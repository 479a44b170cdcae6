"""`manage.py gateway`: the gateway for tenants, on uvicorn."""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import BaseCommand

CHECKOUT = Path(__file__).resolve().parents[4]


class Command(BaseCommand):
    help = "Serve the tenants' API and sockets."
    requires_system_checks = []

    def handle(self, **_: Any) -> None:
        self.stdout.flush()
        become_server(
            "config.gateway.server", settings="config.settings.gateway", metrics="metrics"
        )


def become_server(program: str, *, settings: str, metrics: str) -> NoReturn:
    """Replace this process by a server with its own Django settings.

    `metrics` is the folder in which its processes share their metrics, unless it is configured.
    """
    # Read here for its errors: one message now is better than one per worker later.
    values = import_module(settings)
    folder = Path(values.METRICS_DIR or values.HOME / metrics)
    empty_metrics(folder)
    environment = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": settings,
        "PYTHONPATH": os.pathsep.join((str(CHECKOUT), str(CHECKOUT / "platform"))),
    }
    # A new process image: prometheus_client decides at its first import whether metrics are shared.
    os.execve(  # noqa: S606 - our own program
        sys.executable, [sys.executable, "-m", program], environment
    )


def empty_metrics(folder: Path) -> None:
    """Delete metrics files of an earlier start, and no other files."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        file.unlink()
