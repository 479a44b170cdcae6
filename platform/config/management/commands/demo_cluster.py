"""`manage.py demo_cluster`: shows what happens to tasks when an agent node is killed."""

import argparse
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from config.demo_agents import AGENTS
from embedded.cluster_demo.demonstration import DemoOptions, run_demonstration
from embedded.errors import CannotStart

CHECKOUT = Path(__file__).resolve().parents[4]
DEFAULT_TASKS = 24
MAX_TASKS = 80


class Command(BaseCommand):
    help = "Run tasks on three agent nodes, kill one of them, and report what callers saw."
    requires_system_checks = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--tasks",
            type=int,
            default=DEFAULT_TASKS,
            choices=range(10, MAX_TASKS + 1),
            metavar=f"10..{MAX_TASKS}",
            help=f"Number of tasks before the kill. Default: {DEFAULT_TASKS}.",
        )

    def handle(self, *, tasks: int, **_: Any) -> None:
        options = DemoOptions(
            checkout=CHECKOUT,
            report=CHECKOUT / ".tenantry" / "demo-cluster.json",
            tasks=tasks,
            prompts=[(agent.capabilities[0], agent.prompt) for agent in AGENTS],
        )
        try:
            sys.exit(run_demonstration(options))
        except CannotStart as error:
            sys.exit(f"\n{error}")
        except KeyboardInterrupt:
            sys.exit("\nStopped.")
