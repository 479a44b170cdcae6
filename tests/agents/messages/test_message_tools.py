"""The tools `send_message`, `publish` and `ask_agent`, and what stops agents that never end."""

import time

import pytest
from django.utils import timezone

from agents.models import Agent, AgentMessage, Delivery, Run, Tool
from agents.runtime.catalog.agents import RunLimits
from agents.runtime.loop.ports import Budget, CallContext, RunProgress, ToolSpec
from agents.runtime.tools.builtin import BuiltinTools
from agents.runtime.tools.messages.calling import MessageTools
from agents.runtime.tools.messages.ports import SendingRun
from agents.runtime.tools.validation import validate_tool
from agents.services import pause_agent
from agents.tasks import deliver_messages
from agents.tool_library.store import save_tool
from tenants.limits import services as limit_services
from tenants.models import Quota
from tests.agents.messages.conftest import publish, send, until
from tests.fakes.model_server import Behaviour, ModelServer, in_thread
from tests.fixtures.cast import hire, issue, serve
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.nodes import announce_node, running_node
from tests.fixtures.runs.runs import respond, run_reaches

DELIVERED = ("completed", "dead")


@pytest.fixture
def other_engine():
    with in_thread(ModelServer(models=("other",))) as server:
        yield server


@pytest.fixture
def other_route(transactional_db, other_engine):
    return serve(other_engine.url, model="other")


def give(member, function, **settings):
    tool = Tool(
        tenant=member.tenant,
        name=function,
        description="",
        kind="builtin",
        settings={"function": function, **settings},
        timeout_seconds=200,
    )
    save_tool(tool=tool)


def calls(function, *, answer="Done.", **arguments):
    """What the model does: call the tool, then answer."""
    return Behaviour(script=([{"name": function, "arguments": arguments}], answer))


async def settled():
    """All deliveries, once none is under way."""

    async def all_over():
        await in_database(deliver_messages)
        rows = await in_database(lambda: list(Delivery.objects.order_by("pk")))
        return rows if all(row.state in DELIVERED for row in rows) else None

    return await until(all_over)


async def messages():
    return await in_database(lambda: list(AgentMessage.objects.order_by("pk")))


def outputs(response):
    """The outputs of the calls of a response, or their errors."""
    made = [item for item in response["output"] if item["type"] == "mcp_call"]
    return [
        each["error"]["content"][0]["text"] if each["error"] else each["output"] for each in made
    ]


@pytest.fixture
def pair(acme, tiny, other_route):
    """`boss` has all tools and the first engine, `worker` none and the other."""
    for function in ("send_message", "publish", "ask_agent"):
        give(acme, function)
    hire(acme.tenant, tiny, slug="boss", tools=["send_message", "publish", "ask_agent"])
    hire(acme.tenant, other_route, slug="worker", subscriptions=["news"])


@pytest.mark.usefixtures("pair")
async def test_an_agent_sends_a_message_to_another_one(gateway, acme, engine):
    engine.behave(calls("send_message", agent="worker", content="Do it."))
    async with running_node():
        answer = (await respond(gateway, acme, model="boss")).json()
        (delivery,) = await settled()

    (message,) = await messages()
    assert outputs(answer) == [f"Message {message.public_id}: worker: delivered."]
    assert (message.sender, message.hops, message.content) == ("boss", 1, "Do it.")
    assert (delivery.agent, delivery.state) == ("worker", "completed")
    run = await in_database(Run.objects.get, pk=delivery.run_id)
    assert run.request["metadata"]["sender"] == "boss"
    response = (await gateway.get(acme, f"/v1/responses/{run.public_id}/input_items")).json()
    assert response["data"][0]["content"][0]["text"] == "[Message from the agent boss]\nDo it."


@pytest.mark.usefixtures("pair")
async def test_an_agent_publishes_to_a_topic_but_not_to_itself(gateway, acme, engine, tiny):
    await in_database(
        hire, acme.tenant, tiny, slug="chief", tools=["publish"], subscriptions=["news"]
    )
    engine.behave(calls("publish", topic="news", content="It rains."))

    answer = (await respond(gateway, acme, model="chief")).json()

    assert "worker: delivered" in outputs(answer)[0]
    assert await in_database(lambda: [each.agent for each in Delivery.objects.all()]) == ["worker"]


@pytest.mark.usefixtures("pair")
async def test_an_agent_asks_another_one_and_reads_its_reply(gateway, acme, engine, other_engine):
    engine.behave(calls("ask_agent", agent="worker", content="How many?", timeout_seconds=120))
    other_engine.behave(Behaviour(script=("Forty-two.",)))
    async with running_node():
        answer = (await respond(gateway, acme, model="boss")).json()

    assert (answer["status"], outputs(answer)) == ("completed", ["Forty-two."])


@pytest.mark.usefixtures("pair")
async def test_a_reply_that_does_not_come_in_time_is_an_error_for_the_model(gateway, acme, engine):
    engine.behave(calls("ask_agent", agent="worker", content="How many?", timeout_seconds=1))

    answer = (await respond(gateway, acme, model="boss")).json()

    (output,) = outputs(answer)
    assert output.startswith("reply_timeout")
    assert answer["status"] == "completed"
    assert await in_database(Delivery.objects.count) == 1


@pytest.fixture
def theirs(rival, tiny):
    hire(rival.tenant, tiny, slug="theirs")


@pytest.mark.usefixtures("pair", "theirs")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"agent": "boss", "content": "Me"}, "invalid_parameter"),
        ({"agent": "nobody", "content": "Hi"}, "model_not_found"),
        ({"agent": "theirs", "content": "Hi"}, "model_not_found"),
        ({"agent": "worker", "content": " "}, "invalid_parameter"),
        ({"agent": "worker", "content": "x" * 70_000}, "body_too_large"),
    ],
)
async def test_what_a_message_may_not_be_is_an_error_for_the_model(
    gateway, acme, engine, arguments, code
):
    engine.behave(calls("send_message", **arguments))

    answer = (await respond(gateway, acme, model="boss")).json()

    assert outputs(answer)[0].startswith(f"{code}: ")
    assert await messages() == []


@pytest.mark.usefixtures("pair")
async def test_a_message_to_a_paused_agent_is_delivered_later_and_the_model_reads_that(
    gateway, acme, engine
):
    await in_database(pause_worker)
    engine.behave(calls("send_message", agent="worker", content="Do it."))

    answer = (await respond(gateway, acme, model="boss")).json()

    assert outputs(answer)[0].endswith("worker: pending (agent_paused).")


def pause_worker():
    pause_agent(agent=Agent.objects.get(slug="worker"))


async def test_the_settings_of_the_tool_say_whom_it_may_send_to(gateway, acme, engine, tiny):
    def equip():
        give(acme, "send_message", agents=["friend"])
        give(acme, "publish", topics=["sport"])
        for slug in ("friend", "stranger"):
            hire(acme.tenant, tiny, slug=slug, subscriptions=["news", "sport"])
        hire(acme.tenant, tiny, slug="boss", tools=["send_message", "publish"])

    await in_database(equip)
    tried = (
        ("send_message", {"agent": "stranger"}),
        ("publish", {"topic": "news"}),
        ("send_message", {"agent": "friend"}),
    )
    texts = []
    for function, arguments in tried:
        engine.behave(calls(function, content="Hi", **arguments))
        texts += outputs((await respond(gateway, acme, model="boss")).json())

    assert texts[0].startswith("permission_denied: ")
    assert texts[1].startswith("permission_denied: ")
    assert "friend: delivered" in texts[2]
    assert len(await messages()) == 1


@pytest.mark.usefixtures("pair")
async def test_a_run_reaches_only_agents_that_its_key_may_use(gateway, acme, engine):
    limited = await in_database(issue, acme.tenant, allowed_models=["boss"])
    engine.behave(calls("send_message", agent="worker", content="Hi"))

    answer = (await respond(gateway, limited, model="boss")).json()

    assert outputs(answer)[0].startswith("model_not_found: ")


@pytest.mark.usefixtures("pair")
async def test_a_call_that_another_node_repeats_sends_its_message_once(gateway, acme, engine):
    """The first node has sent the message, and died before it could store the output."""
    engine.behave(calls("send_message", agent="worker", content="Do it."))
    await announce_node(gateway)
    queued = (await respond(gateway, acme, model="boss", background=True)).json()
    keyring = gateway.worker.gateway.keyring
    run = SendingRun(principal=await keyring.authenticate(acme.key), id=queued["id"], hops=0)
    first = MessageTools(gateway.worker.messages, run, others=BuiltinTools())
    tool = ToolSpec(name="send_message", kind="builtin", settings={"function": "send_message"})
    context = CallContext(
        budget=Budget(RunLimits(), RunProgress(), clock=time.monotonic),
        agents=("boss",),
        call="/call00000",
    )
    sent = await first.call(tool, {"agent": "worker", "content": "Do it."}, context)

    async with running_node():
        await run_reaches(queued["id"], "completed", within=60)

    shown = (await gateway.get(acme, f"/v1/responses/{queued['id']}")).json()
    assert outputs(shown)[0].split(":")[0] == sent.text.split(":")[0]
    assert len(await messages()) == 1


async def test_two_calls_of_one_run_are_two_messages(gateway, acme, engine, tiny, other_route):
    await in_database(give, acme, "send_message")
    await in_database(hire, acme.tenant, tiny, slug="boss", tools=["send_message"])
    await in_database(hire, acme.tenant, other_route, slug="worker")
    call = {"name": "send_message", "arguments": {"agent": "worker", "content": "Same."}}
    engine.behave(Behaviour(script=([call, call], [call], "Done.")))

    await respond(gateway, acme, model="boss")

    assert len(await messages()) == 3


@pytest.fixture
def players(acme, engine, other_engine, tiny, other_route):
    """`ping` and `pong` answer each message with a message to the other."""
    engine.behave(calls("send_message", agent="pong", content="ping"))
    other_engine.behave(calls("send_message", agent="ping", content="pong"))
    give(acme, "send_message")
    hire(acme.tenant, tiny, slug="ping", tools=["send_message"])
    hire(acme.tenant, other_route, slug="pong", tools=["send_message"])


@pytest.mark.usefixtures("players")
async def test_two_agents_that_answer_each_other_are_stopped_by_hops(gateway, acme, settings):
    settings.MAX_MESSAGE_HOPS = 4
    async with running_node():
        await send(gateway, acme, agent="ping", content="Begin.")
        deliveries = await settled()

    assert [each.state for each in deliveries] == ["completed"] * 5
    assert [each.hops for each in await messages()] == [0, 1, 2, 3, 4]
    last = await in_database(Run.objects.get, pk=deliveries[-1].run_id)
    shown = (await gateway.get(acme, f"/v1/responses/{last.public_id}")).json()
    assert outputs(shown)[0].startswith("hop_limit: ")


@pytest.mark.usefixtures("players")
async def test_two_agents_that_answer_each_other_are_stopped_by_their_budget(
    gateway, acme, settings
):
    """A run takes two requests: one that calls the tool, and one that answers."""
    settings.MAX_MESSAGE_HOPS = 10_000
    rule = Quota(tenant=acme.tenant, unit="requests", limit=9, period="month")
    await in_database(limit_services.save_quota, rule=rule, now=timezone.now())
    async with running_node():
        await send(gateway, acme, agent="ping", content="Begin.")
        deliveries = await settled()

    assert len(deliveries) <= 10
    assert deliveries[-1].state == "dead"
    assert deliveries[-1].error_code == "quota_exhausted"
    assert {each.error_code for each in deliveries} == {"", "quota_exhausted"}


@pytest.mark.usefixtures("players")
async def test_two_agents_that_answer_each_other_are_stopped_by_the_rate(gateway, acme, settings):
    settings.MAX_MESSAGE_HOPS = 10_000
    settings.TENANT_MESSAGES_PER_MINUTE = 6
    async with running_node():
        await send(gateway, acme, agent="ping", content="Begin.")
        deliveries = await settled()

    last = await in_database(Run.objects.get, pk=deliveries[-1].run_id)
    shown = (await gateway.get(acme, f"/v1/responses/{last.public_id}")).json()
    assert outputs(shown)[0].startswith("message_rate_limit: ")


async def test_subscriptions_in_a_cycle_come_to_an_end(gateway, acme, engine, tiny, settings):
    """Both agents pass on each message to the topic that the other one subscribes to."""
    settings.MAX_MESSAGE_HOPS = 3
    engine.behave(calls("publish", topic="round", content="On."))

    def equip():
        give(acme, "publish")
        for slug in ("a", "b"):
            hire(acme.tenant, tiny, slug=slug, tools=["publish"], subscriptions=["round"])

    await in_database(equip)
    async with running_node():
        await publish(gateway, acme, topic="round")
        deliveries = await settled()

    assert max(each.hops for each in await messages()) == 3
    assert len(deliveries) == 2 + 2 + 2 + 2
    assert {each.state for each in deliveries} == {"completed"}


@pytest.mark.parametrize(
    "given",
    [
        {"function": "time", "agents": ["a"]},
        {"function": "publish", "agents": ["a"]},
        {"function": "send_message", "topics": ["a"]},
        {"function": "publish", "topics": ["a/b"]},
        {"function": "send_message", "agents": ["a"] * 101},
    ],
)
def test_settings_that_a_tool_does_not_have_are_refused(given):
    problems = validate_tool("builtin", given, {}, ensure_target=lambda _: None)

    assert [each.field for each in problems] == ["settings"]
