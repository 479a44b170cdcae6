"""PostgreSQL or Redis is away: the console says 503 in the platform's own form, and in time."""

import pytest
from django.db import connection
from django.test import Client

from kernel.storage.redis import connect
from tests.fixtures.console.people import PASSWORD
from tests.fixtures.database.demotion import database_nowhere, read_only_database, restart_sessions
from tests.fixtures.servers.ports import free_port
from tests.fixtures.servers.valkey import valkey_process

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_session_survives"),
]

ADDRESSES = [
    "/admin/login/",
    "/admin/",
    "/admin/tenants/tenant/",
    "/api/v1/tenants",
    "/api/v1/usage/summary",
    "/internal/v1/endpoints",
]


@pytest.fixture
def no_database():
    with database_nowhere():
        yield


def ensure_form(answer, code):
    assert answer.status_code == 503
    assert answer["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == code
    assert answer["retry-after"]


@pytest.mark.slow
@pytest.mark.parametrize("address", ADDRESSES)
def test_without_a_database_every_address_says_so(no_database, address):
    client = Client(raise_request_exception=False)
    ensure_form(client.get(address), "database_unavailable")


def test_readiness_is_answered_without_a_database(no_database):
    Client().get("/healthz")
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"]["status"] == "down"


def test_a_database_that_only_reads_is_not_ready_and_what_writes_is_503(console, acme):
    body = {"slug": "fresh", "name": "Fresh"}
    console.raise_request_exception = False
    connection.close()
    with read_only_database():
        answer = Client().get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"]["database"]["detail"] == "ReadOnlyDatabase"
        refused = console.post("/api/v1/tenants", body, content_type="application/json")
        ensure_form(refused, "database_unavailable")
        sign_in = {"username": "olga", "password": PASSWORD}
        page = Client(raise_request_exception=False).post("/admin/login/", sign_in)
        ensure_form(page, "database_unavailable")
        # As at the end of each request of a server: the demoted one keeps this connection.
        connection.close()
    statuses = []
    for _ in range(5):
        answer = console.post("/api/v1/tenants", body, content_type="application/json")
        statuses.append(answer.status_code)
        connection.close()
    # The first answer that says "read only" ends every connection of before; one that its pool
    # was just opening is ended by the second.
    assert statuses[-2:] == [409, 409]
    assert statuses.count(503) <= 2
    assert Client().get("/readyz").status_code == 200


def test_a_restart_of_the_database_costs_no_request(console, acme):
    for _ in range(2):
        assert console.get("/api/v1/tenants").status_code == 200
    connection.close()
    idle = [connection.pool.getconn() for _ in range(3)]
    for each in idle:
        connection.pool.putconn(each)
    restart_sessions()
    for _ in range(4):
        assert console.get("/api/v1/tenants").status_code == 200
        connection.close()
        assert console.get("/admin/tenants/tenant/").status_code == 200
        connection.close()


@pytest.fixture
def own_redis(settings):
    """A Redis of this test for cache and sessions, to be filled or killed."""
    port = free_port()
    with valkey_process(port) as process:
        url = f"redis://127.0.0.1:{port}/0"
        settings.REDIS_URL = url
        caches = {name: {**each, "LOCATION": url} for name, each in settings.CACHES.items()}
        settings.CACHES = caches
        yield url, process


def fill(url):
    with connect(url) as client:
        client.config_set("maxmemory", "1")


def kill(url, process):
    process.kill()
    process.wait()


@pytest.mark.parametrize("trouble", ["full", "away"])
def test_people_sign_in_although_redis_takes_nothing(own_redis, operator, trouble):
    url, process = own_redis
    if trouble == "full":
        fill(url)
    else:
        kill(url, process)
    browser = Client(raise_request_exception=False)
    answer = browser.post("/admin/login/", {"username": operator.username, "password": PASSWORD})
    assert answer.status_code == 302
    assert browser.get("/admin/tenants/tenant/").status_code == 200
    ready = browser.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"]["cache"]["status"] == "down"


POISON = [b"\xff\xfe", b"{", b"[1]", b'"text"', b"7", b"null", b"[" * 200_000, b"\x80\x04."]


@pytest.mark.parametrize("poison", POISON, ids=range(len(POISON)))
def test_what_cannot_be_read_in_the_cache_is_not_there(own_redis, operator, poison):
    url, _ = own_redis
    browser = Client(raise_request_exception=False)
    browser.force_login(operator)
    with connect(url) as client:
        names = client.keys("*")
        assert any(b"session" in name for name in names)
        for name in names:
            client.set(name, poison)
        client.set("tenantry:cache:1:canary", poison)
    assert browser.get("/admin/tenants/tenant/").status_code == 200
    assert browser.get("/readyz").status_code == 200


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
@pytest.mark.parametrize("address", ["/api/v1/nothing", "/api/v1/nothing/here", "/internal/none"])
def test_an_unknown_address_is_a_json_404_for_every_method(method, address):
    browser = Client(enforce_csrf_checks=True)
    answer = browser.generic(method.upper(), address, "{}", content_type="application/json")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
