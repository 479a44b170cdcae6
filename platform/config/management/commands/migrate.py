"""`manage.py migrate`: Django's, one at a time on each database."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands.migrate import Command as DjangosCommand
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

MIGRATE_LOCK = 7_365_210
"""The number of PostgreSQL's advisory lock. It goes with the connection of who holds it."""
PAUSE_SECONDS = 0.5


class Command(DjangosCommand):
    """Several machines that start at once would apply the same migration twice, and fail."""

    def handle(self, *args: Any, **options: Any) -> None:
        with self.alone(connections[options["database"]]):
            super().handle(*args, **options)

    @contextmanager
    def alone(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Wait until nobody else migrates."""
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
    # Not the call that waits: a limit on statements would end it.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [MIGRATE_LOCK])
        return bool(cursor.fetchone()[0])
