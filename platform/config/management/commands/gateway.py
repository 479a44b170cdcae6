"""`manage.py gateway`: the tenants' side, on uvicorn."""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

CHECKOUT = Path(__file__).resolve().parents[4]


class Command(BaseCommand):
    help = "Serve the tenants' API and sockets."
    requires_system_checks = []

    def handle(self, **_: Any) -> None:
        # Read here for its errors: a sentence now is better than one per worker later.
        settings = import_module("config.settings.gateway")
        metrics = Path(settings.METRICS_DIR or settings.HOME / "metrics")
        empty_metrics(metrics)
        environment = {
            **os.environ,
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
            "DJANGO_SETTINGS_MODULE": "config.settings.gateway",
            "PYTHONPATH": os.pathsep.join((str(CHECKOUT), str(CHECKOUT / "platform"))),
        }
        # A fresh process image: prometheus_client decides when it is first imported whether it
        # shares its metrics, and Django has settings of its own there.
        self.stdout.flush()
        os.execve(  # noqa: S606 - our own program
            sys.executable, [sys.executable, "-m", "config.gateway.server"], environment
        )


def empty_metrics(folder: Path) -> None:
    """Forget what workers of an earlier start counted; leaves all other files alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        file.unlink()
