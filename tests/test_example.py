"""The running tutorial: one test of each shape. Read it from top to bottom; copy what you need.

A test's name is a sentence that says what must hold. PostgreSQL, Redis, sockets and the gateway are
real; only engines and tool servers are fakes (`tests/fakes`), and these are real servers that
misbehave on request. Our own code is never mocked. Fixtures (`tests/fixtures`): `acme` and `rival`
are two tenants with a key each, `tiny` is a model route, `engine` the fake server behind it,
`gateway` a running gateway worker.
"""

import json
import random
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from agents.doors.base.rendering import error_object
from inference.fleet.endpoint_state import CandidateSet, EndpointState
from inference.fleet.pick_context import PickContext
from inference.fleet.snapshot import Endpoint
from inference.fleet.strategies import STRATEGIES
from kernel.publishing.publish import latest_revision, revisions_after
from kernel.storage.redis import connect as connect_redis
from tenants import services, tasks
from tenants.admission.redis_counters.keys import tenant_key
from tenants.api_keys.keys import new_key, parse_key
from tenants.errors import RevokedApiKey
from tenants.models import AlertRecipient, Notice, Tenant, User
from tenants.scoping import every_tenant, tenant_scope
from tests.fakes.model_server import Behaviour, Fault
from tests.fixtures.gateway import ledger

# --- A pure decision: values in, a value out. No fixture, no clock, no database; microseconds. ---


def test_the_strategy_picks_the_endpoint_with_the_fewest_requests():
    busy, idle = (EndpointState(Endpoint(id=i, address=f"http://{i}", model="m")) for i in "ab")
    busy.in_flight = 3
    busy.recompute_scores()

    picked = STRATEGIES["least_requests"](
        CandidateSet([busy, idle]), PickContext(), random.Random(7)
    )

    assert picked is idle


# --- A property: what holds for every input. Hypothesis looks for one that breaks it. ---


@given(place=st.integers(4, 54), other=st.sampled_from("0aZ"))
def test_a_key_with_a_typing_error_is_recognised_without_a_database(place, other):
    text = str(new_key())
    wrong = text[:place] + other + text[place + 1 :]

    assert (parse_key(wrong) is None) == (wrong != text)


# --- An error: a leaf of one tree. Its docstring is the message; each protocol renders it. ---


def test_an_error_has_a_code_a_status_and_a_sentence():
    error = RevokedApiKey()

    body = error_object(error)["error"]

    assert (error.status, body["code"], body["type"]) == (
        401,
        "revoked_api_key",
        "authentication_error",
    )
    assert body["message"].endswith(".")


# --- A service: one transaction, and what leaves the database happens in `on_commit`. ---


def is_denied(member) -> bool:
    with connect_redis(settings.REDIS_LIMITS_URL) as redis:
        return bool(redis.exists(tenant_key(member.tenant.pk, "denied")))


def test_a_suspension_is_published_and_denied_when_it_is_committed(acme, rival):
    before = latest_revision()

    services.suspend_tenant(tenant_id=acme.tenant.pk)

    topics = {topic for _, topic in revisions_after(before)}
    assert topics == {f"principals:{acme.tenant.pk}", f"suspended:{acme.tenant.pk}"}
    assert (is_denied(acme), is_denied(rival)) == (True, False)


def test_a_suspension_that_is_rolled_back_never_was(acme):
    before = latest_revision()

    with transaction.atomic():
        services.suspend_tenant(tenant_id=acme.tenant.pk)
        transaction.set_rollback(True)

    assert Tenant.objects.get().status == Tenant.Status.ACTIVE
    assert not revisions_after(before)
    assert not is_denied(acme)


# --- The gateway: a real worker on a real port, a fake engine that counts what it sent. ---


@pytest.mark.usefixtures("tiny")
async def test_a_request_is_answered_and_counted_for_its_own_tenant(gateway, acme, rival, engine):
    answer = await gateway.chat(acme)

    (event,) = await ledger()  # waits until the row is there; never sleep in a test
    assert answer.status == 200
    assert event.tenant_id == acme.tenant.pk != rival.tenant.pk
    assert event.completion_tokens == engine.records.rows[0].usage_written["completion_tokens"]


@pytest.mark.usefixtures("tiny")
async def test_another_tenants_response_looks_like_one_that_is_not_there(gateway, acme, rival):
    asked = {"model": "tiny", "input": "hello"}
    made = (await gateway.post(acme, "/v1/responses", json=asked)).json()

    foreign = await gateway.get(rival, f"/v1/responses/{made['id']}")
    unknown = await gateway.get(rival, "/v1/responses/resp_none")

    assert foreign.status == unknown.status == 404
    assert foreign.error == unknown.error


@pytest.mark.usefixtures("tiny")
async def test_a_request_that_its_engine_fails_costs_nothing(gateway, acme, engine):
    engine.behave(Behaviour(fault=Fault.REFUSES, status=500))

    answer = await gateway.chat(acme)

    (event,) = await ledger()
    assert (answer.status, answer.error["code"]) == (502, "upstream_failed")
    assert (event.status, event.prompt_tokens, event.completion_tokens) == ("failed", 0, 0)


# --- A socket: frames of JSON; the key travels in a header. ---


@pytest.mark.usefixtures("tiny")
async def test_a_response_on_a_socket_ends_with_exactly_one_last_event(gateway, acme):
    url = gateway.url.replace("http", "ws") + "/ws/v1/responses"
    async with connect(url, additional_headers=acme.bearer) as socket:
        await socket.send(json.dumps({"type": "response.create", "model": "tiny", "input": "hi"}))
        kinds = []
        while "response.completed" not in kinds:
            kinds.append(json.loads(await socket.recv())["type"])

    assert kinds[0] == "response.created"
    assert kinds.count("response.completed") == 1


# --- A page of the console: it shows the rows; the number of queries does not grow with them. ---


@pytest.fixture
def console(transactional_db):
    """The browser of an operator."""
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


def test_the_list_of_tenants_asks_no_query_for_each_row(
    console, acme, rival, django_assert_max_num_queries
):
    for number in range(8):
        services.create_tenant(slug=f"other-{number}", name=f"Other {number}")

    with django_assert_max_num_queries(10):
        page = console.get(reverse("admin:tenants_tenant_changelist"))

    text = page.content.decode()
    assert "acme" in text
    assert "rival" in text


# --- A task of Celery: rows say what is due, so it may be delivered twice. ---


def test_an_expiring_key_is_announced_once_though_the_task_comes_twice(acme, rival):
    with tenant_scope(acme.tenant.pk):
        AlertRecipient.objects.create(tenant=acme.tenant, address="ops@acme.example")
    tomorrow = timezone.now() + timedelta(days=1)
    services.issue_key(tenant=acme.tenant, name="ci", expires_at=tomorrow)

    tasks.expire_keys()
    tasks.expire_keys()

    with every_tenant():  # the fence is lifted only where a test looks at all rows
        (notice,) = Notice.objects.all()
    assert notice.tenant_id == acme.tenant.pk
    assert notice.body["type"] == "key.expiring"
