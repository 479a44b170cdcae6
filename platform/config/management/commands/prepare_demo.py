"""`manage.py prepare_demo`: migrate and seed in one process, because starting one takes seconds."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.migrations.executor import MigrationExecutor


class Command(BaseCommand):
    help = "Bring the database up to date and put the demo tenant into it."
    # What the checks would ask of the tables is only true after the migrations.
    requires_system_checks = []

    def handle(self, **_: Any) -> None:
        if has_pending_migrations():
            call_command("migrate", interactive=False, stdout=self.stdout)
        call_command("seed_demo", stdout=self.stdout)


def has_pending_migrations() -> bool:
    """Whether `migrate` has anything to do; it takes a second even if it has not."""
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
