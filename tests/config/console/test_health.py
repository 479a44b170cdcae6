"""Health and metrics of the console: for machines, without a login."""

import pytest
from channels.testing import WebsocketCommunicator


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
