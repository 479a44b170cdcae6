"""Health and metrics of the console: for machines, without a login."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from channels.testing import WebsocketCommunicator
from django.core.cache import cache
from django.utils import timezone

from config.worker_heartbeat import DEFAULT_HEARTBEAT_KEY, HEARTBEAT_KEY

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("address", ["/healthz", "/health"])
def test_it_is_alive_whatever_else_is(client, address):
    assert client.get(address).json() == {"status": "ok"}


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/readyz", "/ready"])
def test_it_is_ready_with_its_database_and_cache(client, address):
    answer = client.get(address)
    assert answer.status_code == 200
    checks = answer.json()["checks"]
    assert checks["database"]["status"] == checks["cache"]["status"] == "up"


@pytest.mark.django_db
def test_it_is_not_ready_without_its_cache(client, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["cache"] == {
        "status": "down",
        "latency_ms": None,
        "detail": "ConnectionError",
    }


@pytest.mark.django_db
def test_metrics_need_no_login(client):
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert b"django_http_requests" in answer.content


async def test_a_socket_is_refused_before_it_is_accepted():
    """The console has none."""
    from config.asgi import application

    accepted, _ = await WebsocketCommunicator(application, "/ws/anything").connect()
    assert not accepted


@pytest.mark.slow
def test_the_console_does_not_serve_the_gateways_metrics(tmp_path):
    """Both planes are started from one environment, as in a shared config map."""
    code = (
        "import django; django.setup()\n"
        "import os, prometheus_client.values as values\n"
        "print(values.ValueClass.__name__, os.environ.get('PROMETHEUS_MULTIPROC_DIR'))"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings.console",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
        "TENANTRY_ENVIRONMENT": "embedded",
        "TENANTRY_HOME": str(tmp_path),
        "TENANTRY_SECRET_KEY": "x" * 60,
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "MutexValue None\n", done.stderr


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("ages", "status"),
    [
        ((5, 30), "up"),
        ((5, None), "up"),
        ((90, 30), "down"),
        ((5, 400), "down"),
        ((None, 5), "down"),
    ],
)
def test_a_worker_is_down_when_one_of_the_queues_is_not_served(client, ages, status):
    now = timezone.now().timestamp()
    for name, age in zip((HEARTBEAT_KEY, DEFAULT_HEARTBEAT_KEY), ages, strict=True):
        if age is None:
            cache.delete(name)
        else:
            cache.set(name, now - age, timeout=None)
    assert client.get("/readyz").json()["checks"]["worker"]["status"] == status
