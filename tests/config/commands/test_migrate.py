"""Two `migrate` at once wait for each other."""

import io
import threading
import time

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from config.management.commands.migrate import MIGRATE_LOCK


@pytest.mark.django_db(transaction=True)
def test_a_second_migrate_waits_until_the_first_has_ended():
    out = io.StringIO()

    def migrate():
        try:
            call_command("migrate", stdout=out, verbosity=0)
        finally:
            connection.close()

    second = threading.Thread(target=migrate)
    parameters = connection.get_connection_params()
    names = ("host", "port", "dbname", "user", "password")
    address = {name: parameters[name] for name in names if parameters.get(name)}
    with psycopg.connect(**address, autocommit=True) as first:
        first.execute("SELECT pg_advisory_lock(%s)", [MIGRATE_LOCK])
        second.start()
        ends = time.monotonic() + 60
        while "waiting" not in out.getvalue() and time.monotonic() < ends:
            time.sleep(0.05)
        assert "waiting" in out.getvalue()
        assert second.is_alive()
    second.join(60)
    assert not second.is_alive()
    call_command("migrate", stdout=out, verbosity=0)
