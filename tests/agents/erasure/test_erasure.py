"""Erasing: nothing that was said is left in any table or in Redis, but a receipt."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import redis
from django.apps import apps
from django.conf import settings
from django.db import connection

from agents.conversations.store import append_items
from agents.erasure import cached_responses
from agents.erasure import service as erasure
from agents.models import Approval, Conversation, ErasureReceipt, Run
from agents.models.choices import RunState
from agents.redis_keys import context_key
from agents.schema.items import StoredItem, user_message
from kernel.errors import NotFound
from kernel.ids import new_id
from tenants.ledger import append_usage
from tenants.models import Tenant, UsageEvent
from tests.fakes.model_server import Behaviour
from tests.fixtures.cast import hire
from tests.fixtures.gateway import in_database
from tests.fixtures.limits.usage import record

pytestmark = pytest.mark.usefixtures("seen_by_all")

MARK = "xyzzy-the-secret-word"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def memory():
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client
        client.delete(*(keys_with(client, MARK) or [b"-"]))


def converse(member, *, days=0, state=RunState.COMPLETED, text=MARK) -> Conversation:
    """A conversation with a run, items, an approval, all of which hold `text`."""
    talk = Conversation.objects.create(
        tenant=member.tenant, public_id=new_id("conv"), metadata={"note": text}
    )
    respond(member, conversation=talk, state=state, text=text)
    Conversation.objects.filter(pk=talk.pk).update(changed_at=NOW - timedelta(days=days))
    return talk


def respond(member, *, days=0, text=MARK, state=RunState.COMPLETED, **facts) -> Run:
    run = Run.objects.create(
        tenant=member.tenant,
        public_id=new_id("resp"),
        door="test",
        model="tiny",
        request={"instructions": text},
        error={"message": text},
        state=state,
        **facts,
    )
    Approval.objects.create(
        tenant=member.tenant,
        run=run,
        public_id=new_id("apr"),
        call_id="c1",
        tool="t",
        arguments={"a": text},
        reason=text,
    )
    talk = facts.get("conversation")
    append_items(
        member.tenant.pk,
        conversation=talk and talk.public_id,
        run=run.public_id,
        items=[StoredItem(item=user_message(text))],
    )
    Run.objects.filter(pk=run.pk).update(created_at=NOW - timedelta(days=days))
    return run


def tables_with(text):
    """Every table of the database in which `text` stands somewhere."""
    with connection.cursor() as cursor:
        found = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(
                f'SELECT count(*) FROM "{table}" AS row WHERE row::text LIKE %s',
                [f"%{text}%"],
            )
            if cursor.fetchone()[0]:
                found.append(table)
    return found


READ = {
    b"string": lambda client, key: client.get(key),
    b"stream": lambda client, key: client.xrange(key),
    b"hash": lambda client, key: client.hgetall(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1),
}
"""Not DUMP, which compresses."""


def gone(client, key):
    """It expired between the two questions."""


def keys_with(client, text):
    """Every key of Redis whose value holds `text`, whatever its kind."""
    return [
        key
        for key in client.scan_iter()
        if text in str(READ.get(client.type(key), gone)(client, key))
    ]


def test_the_search_itself_finds_what_is_there(acme, memory):
    converse(acme)
    memory.set("somewhere", MARK)
    memory.xadd("stream", {"e": f"{MARK} " * 50})

    assert set(tables_with(MARK)) == {
        "agents_approval",
        "agents_conversation",
        "agents_item",
        "agents_run",
    }
    assert set(keys_with(memory, MARK)) == {b"somewhere", b"stream"}


def test_an_erased_conversation_is_nowhere(acme, memory):
    talk = converse(acme)
    memory.set(context_key(acme.tenant.pk, talk.public_id), MARK)

    receipt = erasure.erase_conversation(
        acme.tenant.pk, conversation=talk.public_id, by="operator ada"
    )

    assert tables_with(MARK) == []
    assert keys_with(memory, MARK) == []
    assert receipt.counts["items"] == receipt.counts["runs"] == receipt.counts["approvals"] == 1
    assert receipt.counts["conversations"] == receipt.counts["contexts"] == 1
    assert (receipt.target, receipt.requested_by) == (talk.public_id, "operator ada")
    assert receipt.finished_at is not None
    assert receipt.rest == {}


async def begin(gateway, member, body):
    answer = await gateway.post(member, "/v1/chat", json=body)
    assert answer.status == 200, answer.body
    return answer.json()["session_id"]


async def test_what_an_agent_streamed_is_nowhere_either(acme, tiny, engine, gateway, memory):
    engine.behave(Behaviour(word=MARK))
    body = {"input_text": MARK, "agent": "tiny"}
    session = await begin(gateway, acme, body)
    await gateway.post(acme, "/v1/chat", json={**body, "session_id": session})
    assert len(keys_with(memory, MARK)) >= 3, "two event logs and the context"

    gone = (await gateway.ask("DELETE", acme, f"/v1/conversations/{session}")).json()

    assert await in_database(tables_with, MARK) == []
    assert keys_with(memory, MARK) == []
    assert gone["receipt"]["counts"] == {
        "conversations": 1, "runs": 2, "items": 4, "approvals": 0, "tasks": 0, "contexts": 1,
        "event_logs": 2, "cached_answers": 0,
    }  # fmt: skip


@pytest.fixture
async def keeps_answers(acme, rival, tiny, engine):
    """Each has an agent that gives answers again; the first one holds the mark."""
    for member in (acme, rival):
        await in_database(hire, member.tenant, tiny, response_cache="always", cache_seconds=600)
        await in_database(cached_responses.erase_cached_responses, member.tenant.pk)
    engine.behave(Behaviour(word=MARK), Behaviour(word="theirs"), Behaviour(word="again"))


@pytest.mark.slow
@pytest.mark.usefixtures("keeps_answers")
@pytest.mark.parametrize("place", ["conversation", "run alone", "tenant"])
async def test_kept_answers_go_with_what_they_were_given_to(acme, rival, gateway, memory, place):
    asked = {"model": "helper", "input": "hello"}
    if place != "run alone":
        asked["conversation"] = (await in_database(talk_of, acme)).public_id
    first = await gateway.post(acme, "/v1/responses", json=asked)
    assert MARK in str(first.json()["output"])
    await gateway.post(rival, "/v1/responses", json={**asked, "conversation": None})
    assert [key for key in keys_with(memory, MARK) if b":answer:" in key]

    receipt = await in_database(erase, acme, place, asked)

    assert keys_with(memory, MARK) == []
    assert await in_database(tables_with, MARK) == []
    assert receipt.counts["cached_answers"] == 1
    theirs = {"model": "helper", "input": "hello"}
    await asyncio.sleep(1)
    if place != "run alone":
        asked["conversation"] = (await in_database(talk_of, acme)).public_id
    mine, others = [
        (await gateway.post(member, "/v1/responses", json=body)).headers.get("x-tenantry-cache")
        for member, body in ((acme, asked), (rival, theirs))
    ]
    assert (mine, others) == (None, "hit"), "not from the memory of the worker either"


def talk_of(member):
    return Conversation.objects.create(tenant=member.tenant, public_id=new_id("conv"))


def erase(member, place, asked):
    """Whatever `place` says."""
    if place == "tenant":
        return erasure.resume_erasure(erasure.request_tenant_erasure(member.tenant.pk, by="ada"))
    if place == "conversation":
        return erasure.erase_conversation(
            member.tenant.pk, conversation=asked["conversation"], by="ada"
        )
    Tenant.objects.filter(pk=member.tenant.pk).update(retention_days=1)
    return erasure.erase_expired(member.tenant.pk, now=datetime.now(UTC) + timedelta(days=2))


async def test_a_run_that_is_erased_while_it_speaks_leaves_nothing(
    acme, tiny, engine, gateway, memory
):
    body = {"input_text": "hello", "agent": "tiny"}
    session = await begin(gateway, acme, body)
    engine.behave(Behaviour(word=MARK, tokens=100, token_seconds=0.05))
    running = asyncio.create_task(
        gateway.post(acme, "/v1/chat", json={**body, "session_id": session})
    )
    while not keys_with(memory, MARK):
        await asyncio.sleep(0.05)

    await gateway.ask("DELETE", acme, f"/v1/conversations/{session}")

    async with asyncio.timeout(5):
        await running
    await asyncio.sleep(0.3)
    assert keys_with(memory, MARK) == []
    assert await in_database(tables_with, MARK) == []


def test_other_conversations_stay(acme, rival, memory):
    talk, other, theirs = converse(acme), converse(acme, text="kept"), converse(rival)

    erasure.erase_conversation(acme.tenant.pk, conversation=talk.public_id, by="ada")

    assert set(Conversation.objects.all()) == {other, theirs}
    assert {run.conversation for run in Run.objects.all()} == {other, theirs}


def test_nobody_erases_what_is_anothers(acme, rival, memory):
    talk = converse(acme)

    with pytest.raises(NotFound):
        erasure.erase_conversation(rival.tenant.pk, conversation=talk.public_id, by="eve")

    assert Conversation.objects.get() == talk
    assert not ErasureReceipt.objects.exists()


def test_a_tenant_is_erased_and_its_neighbour_is_not(acme, rival, memory):
    converse(acme)
    first = respond(acme)
    respond(acme, previous=first)
    theirs = converse(rival, text="kept")

    receipt = erasure.resume_erasure(erasure.request_tenant_erasure(acme.tenant.pk, by="ada"))

    assert tables_with(MARK) == []
    assert list(Conversation.objects.all()) == [theirs]
    assert (receipt.counts["conversations"], receipt.counts["runs"]) == (1, 3)


def test_what_is_said_after_an_erasure_was_asked_for_stays(acme, memory):
    receipt = erasure.request_tenant_erasure(acme.tenant.pk, by="ada")
    later = converse(acme)

    erasure.resume_erasure(receipt)

    assert Conversation.objects.get() == later


def test_large_tenants_are_erased_in_batches(acme, memory, monkeypatch):
    monkeypatch.setattr(erasure, "BATCH_SIZE", 2)
    for _ in range(5):
        converse(acme)

    receipt = erasure.resume_erasure(erasure.request_tenant_erasure(acme.tenant.pk, by="ada"))

    assert receipt.counts["conversations"] == 5
    assert not Conversation.objects.exists()


def test_the_ledger_keeps_its_counts(acme, memory):
    append_usage([record(1, tenant_id=acme.tenant.pk)])
    converse(acme)

    erasure.resume_erasure(erasure.request_tenant_erasure(acme.tenant.pk, by="ada"))

    assert UsageEvent.objects.get().prompt_tokens == 3


def test_a_running_run_is_looked_after_once_more(acme, memory, monkeypatch):
    talk = converse(acme, state=RunState.IN_PROGRESS)
    receipt = erasure.erase_conversation(acme.tenant.pk, conversation=talk.public_id, by="ada")
    key = context_key(acme.tenant.pk, talk.public_id)
    memory.set(key, MARK)
    assert receipt.finished_at is None

    monkeypatch.setattr(erasure, "REDIS_GRACE_PERIOD", timedelta())
    assert erasure.resume_open_erasures() == 1

    assert keys_with(memory, MARK) == []
    assert ErasureReceipt.objects.get().finished_at is not None


def test_an_erasure_waits_for_redis_to_come_back(acme, memory, settings):
    talk = converse(acme)
    key = context_key(acme.tenant.pk, talk.public_id)
    memory.set(key, MARK)
    there, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    receipt = erasure.erase_conversation(acme.tenant.pk, conversation=talk.public_id, by="ada")
    assert (receipt.finished_at, tables_with(MARK)) == (None, [])

    settings.REDIS_URL = there
    erasure.resume_open_erasures()

    assert keys_with(memory, MARK) == []


class TestRetention:
    @pytest.fixture
    def keeps_a_month(self, acme, memory):
        Tenant.objects.filter(pk=acme.tenant.pk).update(retention_days=30)

    def test_what_is_older_is_erased(self, acme, rival, keeps_a_month):
        converse(acme, days=31)
        young, theirs = converse(acme, days=29), converse(rival, days=400)

        receipt = erasure.erase_expired(acme.tenant.pk, now=NOW)

        assert set(Conversation.objects.all()) == {young, theirs}
        assert (receipt.kind, receipt.counts["conversations"]) == ("retention", 1)
        assert erasure.tenants_with_retention() == [acme.tenant.pk]

    def test_nothing_to_erase_leaves_no_receipt(self, acme, keeps_a_month):
        converse(acme, days=3)

        assert erasure.erase_expired(acme.tenant.pk, now=NOW) is None
        assert not ErasureReceipt.objects.exists()

    def test_a_chain_of_responses_is_as_old_as_its_end(self, acme, keeps_a_month):
        first = respond(acme, days=50)
        respond(acme, days=2, previous=first)
        gone = respond(acme, days=50)
        respond(acme, days=40, previous=gone)

        receipt = erasure.erase_expired(acme.tenant.pk, now=NOW)

        assert receipt.counts["runs"] == 2
        assert Run.objects.filter(pk=first.pk).exists()

    @pytest.mark.parametrize("days", [36_501, 2_147_483_647])
    def test_more_than_a_lifetime_keeps_everything(self, acme, memory, days):
        Tenant.objects.filter(pk=acme.tenant.pk).update(retention_days=days)
        converse(acme, days=4000)

        assert erasure.erase_expired(acme.tenant.pk, now=NOW) is None

    def test_a_tenant_without_retention_keeps_everything(self, acme, memory):
        converse(acme, days=4000)

        assert erasure.erase_expired(acme.tenant.pk, now=NOW) is None


def test_every_table_that_can_hold_words_is_erased_or_known(db):
    """A new table of this context with text must be added to erasing, or be named here."""
    configuration = {"agent", "agentrevision", "rollout", "tool", "erasurereceipt"}
    configuration |= {"agentnode", "nodetoken", "schedule", "schedulefiring", "remoteagent"}
    erased = {"conversation", "item", "run", "approval", "task"}
    erased |= {"agentmessage", "delivery", "inbox", "pushconfig"}

    assert {model._meta.model_name for model in apps.get_app_config("agents").get_models()} == (
        configuration | erased
    )
