"""`manage.py migrate`: Django's command, run by one process at a time on each database."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands.migrate import Command as DjangosCommand
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from kernel.storage.version import record_version

MIGRATE_LOCK = 7_365_210
"""The key of the advisory lock, which PostgreSQL releases with the connection."""
PAUSE_SECONDS = 0.5


class Command(DjangosCommand):
    """Migrates under a lock: machines that start together must not apply a migration twice."""

    def handle(self, *args: Any, **options: Any) -> None:
        with self.alone(connections[options["database"]]):
            super().handle(*args, **options)
            is_only_shown = options["plan"] or options["check_unapplied"]
            if options["database"] == DEFAULT_DB_ALIAS and not is_only_shown:
                self.record()

    def record(self) -> None:
        """Store the version, unless an earlier migration was asked for that lacks the table."""
        table = "kernel_databaseversion"
        if table in connections[DEFAULT_DB_ALIAS].introspection.table_names():
            record_version()

    @contextmanager
    def alone(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Wait for other migrations, and hold the lock inside the block."""
        if not take(connection):
            self.stdout.write("Another migrate is running on this database: waiting for it.")
            while not take(connection):
                time.sleep(PAUSE_SECONDS)
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATE_LOCK])


def take(connection: BaseDatabaseWrapper) -> bool:
    # Not the blocking call: a statement timeout would end it.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [MIGRATE_LOCK])
        return bool(cursor.fetchone()[0])
