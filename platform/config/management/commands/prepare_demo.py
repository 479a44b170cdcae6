"""`manage.py prepare_demo`: migrates and seeds in one process, because a start takes seconds."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from kernel.storage.version import record_version


class Command(BaseCommand):
    help = "Migrate the database and create the demo tenant."
    # Checks of tables would fail before the migrations.
    requires_system_checks = []

    def handle(self, **_: Any) -> None:
        if has_pending_migrations():
            call_command("migrate", interactive=False, stdout=self.stdout)
        # A new version without migrations, too: nodes compare theirs.
        record_version()
        call_command("seed_demo", stdout=self.stdout)


def has_pending_migrations() -> bool:
    """Return whether there are migrations to apply. `migrate` takes a second even if not."""
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
