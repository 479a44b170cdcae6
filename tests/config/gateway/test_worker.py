"""A gateway worker whose database hangs: it goes on with what it knows."""

import threading
import time

import pytest
from django.db import connection, transaction

from agents.errors import AgentsUnavailable
from config.gateway.database import queries as module
from tenants.errors import KeysUnavailable


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(module, "QUERY_TIMEOUT_SECONDS", 0.2)


class Lock:
    """Holds tables so that every query of them hangs."""

    def __init__(self):
        self.held = False
        self.release = threading.Event()
        self.thread = threading.Thread(target=self.hold)

    def hold(self):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE tenants_apikey, agents_agent IN ACCESS EXCLUSIVE MODE")
            self.held = True
            self.release.wait(20)
        connection.close()

    def __enter__(self):
        self.thread.start()
        while not self.held:
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.release.set()
        self.thread.join()


async def test_a_known_key_works_while_the_database_hangs(acme, gateway, impatient):
    keyring = gateway.worker.gateway.keyring
    known = await keyring.authenticate(acme.key)
    keyring.refresh_tenant(acme.tenant.pk)

    with Lock():
        assert await keyring.authenticate(acme.key) == known


async def test_known_agents_serve_while_the_database_hangs(acme, gateway, impatient):
    catalog = gateway.worker.gateway.catalog
    known = await catalog.of_tenant(acme.tenant.pk)
    catalog.forget_tenant(acme.tenant.pk)

    with Lock():
        assert await catalog.of_tenant(acme.tenant.pk) == known


async def test_what_is_not_known_is_unavailable_while_the_database_hangs(acme, gateway, impatient):
    with Lock():
        with pytest.raises(KeysUnavailable):
            await gateway.worker.gateway.keyring.authenticate(acme.key)
        with pytest.raises(AgentsUnavailable):
            await gateway.worker.gateway.catalog.of_tenant(acme.tenant.pk)
