"""Tools that are agents of others: one message, one task, its artifacts as the output."""

import time

import pytest

from agents.runtime.catalog.agents import RunLimits
from agents.runtime.loop.ports import Budget, CallContext, RunProgress, ToolSpec
from agents.runtime.tools.a2a.calling import A2aTools
from kernel.egress.client import Egress, EgressFailed
from kernel.egress.rules import TargetRefused, rules_of
from tests.agents.a2a.test_remote_agents import register
from tests.fakes.model_server import Behaviour
from tests.fixtures.cast import hire
from tests.fixtures.gateway import eventually, in_database
from tests.fixtures.runs.tools import make_tool

SECRET = "s3cr3t-credential"
pytestmark = pytest.mark.slow


def egress(partner, *, allow=("127.0.0.1",)):
    return Egress(rules_of(allow=allow, ports=[partner.port], http=True))


def spec(partner, *, binding="JSONRPC", url=None, **facts):
    settings = {
        "agent": "partner",
        "url": partner.url if url is None else url,
        "binding": binding,
    }
    return ToolSpec(name="ask", kind="a2a", settings=settings, **facts)


async def call(partner, text, *, tools=None, **facts):
    context = CallContext(budget=Budget(RunLimits(), RunProgress(), clock=time.monotonic))
    handler = tools or A2aTools(egress(partner))
    return await handler.call(spec(partner, **facts), {"message": text}, context)


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_the_artifacts_of_the_task_are_the_output(partner, binding):
    result = await call(partner, "hello", binding=binding, credential=SECRET)

    assert (result.text, result.is_error) == ("echo: hello", False)
    assert partner.seen[-1]["authorization"] == f"Bearer {SECRET}"
    assert partner.seen[-1]["a2a-version"] == "1.0"


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_a_task_that_fails_is_an_error_with_its_reason(partner, binding):
    result = await call(partner, "fail please", binding=binding)

    assert result.is_error
    assert result.text == "The task of the agent ended as failed. about fail please"


async def test_an_agent_that_asks_back_is_an_error_and_its_task_is_cancelled(partner):
    result = await call(partner, "ask me")

    assert result.is_error
    assert "input_required. about ask me" in result.text
    await eventually(lambda: len(partner.cancelled) == 1)


async def test_an_agent_that_takes_too_long_is_a_failure(partner):
    with pytest.raises(EgressFailed, match="in time"):
        await call(partner, "hang", timeout_seconds=0.5)


async def test_a_server_that_refuses_is_an_error_for_the_model(partner):
    partner.refuses = True

    result = await call(partner, "hello", credential=SECRET)

    assert result.is_error
    assert "403" in result.text
    assert SECRET not in result.text


async def test_an_address_that_the_rules_refuse_is_never_asked(partner):
    with pytest.raises(TargetRefused):
        await call(partner, "hello", tools=A2aTools(egress(partner, allow=())))

    assert partner.seen == []


async def test_an_agent_that_is_not_registered_is_an_error(partner):
    result = await call(partner, "hello", url="")

    assert result.is_error
    assert "not registered" in result.text


async def test_a_run_calls_an_agent_of_others(acme, tiny, engine, partner, gateway):
    def prepare():
        register(acme, partner, credential=SECRET)
        make_tool(acme.tenant, name="ask", kind="a2a", settings={"agent": "partner"})
        hire(acme.tenant, tiny, tools=["ask"])

    await in_database(prepare)
    engine.behave(
        Behaviour(script=([{"name": "ask", "arguments": {"message": "2 + 2?"}}], "It is done."))
    )

    answer = await gateway.post(acme, "/v1/responses", json={"model": "helper", "input": "Go."})

    call_item, said = answer.json()["output"]
    assert (call_item["type"], call_item["output"]) == ("mcp_call", "echo: 2 + 2?")
    assert said["content"][0]["text"] == "It is done."
