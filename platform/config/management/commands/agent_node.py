"""`manage.py agent_node`: an agent node, which executes runs of the run queue."""

import argparse
import os
from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agents.errors import InvalidNode
from config.management.commands.gateway import become_server
from config.node.options import add_node_options, environment_of, node_options, options_of

SETTINGS = "config.settings.node"


class Command(BaseCommand):
    help = "Execute the runs that no connection waits for."
    requires_system_checks = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_node_options(parser)

    def handle(self, **given: Any) -> None:
        settings = import_module(SETTINGS)
        try:
            options = node_options(given, defaults=options_of(settings))
            options.announcement(worker="", pod=settings.NODE_POD)
        except InvalidNode as error:
            raise CommandError(error.message) from None
        os.environ.update(environment_of(options))
        self.stdout.flush()
        become_server("config.node.server", settings=SETTINGS, metrics="node-metrics")
