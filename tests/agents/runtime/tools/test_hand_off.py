"""Agents as tools: within what is left to the one that asks, never in circles, never too deep."""

import asyncio
import time

import pytest

from agents.runtime.catalog.agents import RunLimits
from agents.runtime.loop.ports import RunPlan, ToolSpec
from agents.runtime.tools.agent import AgentTools
from agents.runtime.tools.agent_settings import MESSAGE_SCHEMA
from agents.runtime.tools.kind import HandoffTarget
from agents.runtime.tools.toolbox import KindToolbox
from inference.relay.schema import ChatMessage, ChatRequest
from kernel.errors import NotFound
from tests.fakes.loop_ports import Stage, kinds, outputs
from tests.fakes.scripted_model import ScriptedModel, calls, says


def hand_off(slug, **changed):
    return ToolSpec(
        name=f"ask_{slug}",
        kind="agent",
        schema=MESSAGE_SCHEMA,
        settings={"agent": slug},
        timeout_seconds=5,
        **changed,
    )


class Office:
    """Agents of one tenant by slug: a scripted model, and to whom each may hand over."""

    def __init__(self, limits=None, resolve=None, **agents):
        self.agents = agents
        self.limits = limits or RunLimits()
        self.asked = []
        self.tools = AgentTools(resolve or self, clock=time.monotonic)

    def box(self, *slugs):
        box = KindToolbox([hand_off(slug) for slug in slugs], {"agent": self.tools})
        box.specs = {f"ask_{slug}": None for slug in slugs}
        return box

    async def __call__(self, slug, message):
        self.asked.append((slug, message))
        if slug not in self.agents:
            raise NotFound("There is no such agent.")
        model, *onward = self.agents[slug]
        box = self.box(*onward)
        request = ChatRequest(
            model="tiny",
            messages=[ChatMessage(role="user", content=message)],
            tools=box.offer() or None,
        )
        return HandoffTarget(
            plan=RunPlan(request=request, limits=self.limits), stream_model=model, tools=box
        )


def asks(slug, message="How?"):
    return calls((f"ask_{slug}", {"message": message}))


def desk(office, *turns):
    """A run of the agent `desk`, which may hand over to everybody."""
    play = Stage(ScriptedModel(*turns))
    play.tools = office.box(*office.agents, "nobody")
    return play


async def test_another_agent_answers():
    office = Office(billing=[ScriptedModel(says("You owe 5."))])
    play = desk(office, asks("billing"), says("It is 5."))

    ended = await play.run()

    assert (outputs(ended), office.asked) == (["You owe 5."], [("billing", "How?")])
    assert kinds(ended) == ["function_call", "function_call_output", "message"]
    assert play.text == "It is 5.", "what was said inside is not told to clients"


async def test_its_tokens_count_for_the_one_that_asked():
    office = Office(billing=[ScriptedModel(says("5"))])

    ended = await desk(office, asks("billing"), says("5")).run()

    assert (ended.progress.steps, ended.progress.tokens) == (2, 45)


async def test_it_ends_where_the_tokens_of_the_one_above_end():
    endless = ScriptedModel(asks("nobody"))
    office = Office(billing=[endless, "nobody"])

    ended = await desk(office, asks("billing")).run(limits=RunLimits(tokens=60))

    assert ended.reason == "max_run_tokens"
    assert "did not finish (max_run_tokens)" in outputs(ended)[0]
    assert ended.progress.tokens <= 60


async def test_two_at_once_share_what_is_left():
    both = calls(("ask_a", {"message": "?"}), ("ask_b", {"message": "?"}))
    office = Office(
        a=[ScriptedModel(asks("nobody")), "nobody"], b=[ScriptedModel(asks("nobody")), "nobody"]
    )

    ended = await desk(office, both).run(limits=RunLimits(tokens=100))

    assert ended.reason == "max_run_tokens"
    # Each call that was begun may end; no further one begins.
    assert ended.progress.tokens <= 100 + 2 * 15


async def test_its_own_limits_hold_as_well():
    office = Office(RunLimits(steps=2), billing=[ScriptedModel(asks("nobody")), "nobody"])

    ended = await desk(office, asks("billing"), says("Well")).run()

    assert outputs(ended) == ["Error: The agent did not finish (max_steps). "]
    assert ended.state == "completed"


async def test_a_circle_is_refused():
    ring = ScriptedModel(asks("desk"), says("I was not let."))
    office = Office(billing=[ring, "desk"], desk=[ScriptedModel(says("never"))])

    ended = await desk(office, asks("billing"), says("Well")).run()

    assert office.asked == [("billing", "How?")]
    assert "is part of this chain already" in ring.messages()[-1][1]
    assert outputs(ended) == ["I was not let."]


async def test_a_chain_that_is_too_long_is_refused():
    office = Office(
        **{f"a{n}": [ScriptedModel(asks(f"a{n + 1}"), says("ok")), f"a{n + 1}"] for n in range(9)}
    )

    await desk(office, asks("a0"), says("Well")).run()

    assert [slug for slug, _ in office.asked] == ["a0", "a1", "a2"]
    assert "The chain of hand-offs has 4 agents" in office.agents["a2"][0].messages()[-1][1]


async def test_an_agent_that_is_not_there_is_an_error():
    ended = await desk(Office(), asks("nobody"), says("Well")).run()

    assert outputs(ended) == ["Error: There is no such agent."]


async def test_nobody_approves_inside_a_hand_off():
    async def resolve(slug, message):
        target = await office(slug, message)
        target.plan.request.tools = careful.offer()
        return HandoffTarget(plan=target.plan, stream_model=target.stream_model, tools=careful)

    office = Office(billing=[ScriptedModel(asks("nobody"), says("Refused."))], resolve=resolve)
    careful = KindToolbox([hand_off("nobody", needs_approval=True)], {"agent": office.tools})

    ended = await desk(office, asks("billing"), says("Well")).run()

    assert (ended.state, outputs(ended)) == ("completed", ["Refused."])
    assert "cannot be requested here" in office.agents["billing"][0].messages()[-1][1]


async def test_cancelling_reaches_the_agent_that_works():
    slow = ScriptedModel(says("never"), pause=600)
    play = desk(Office(billing=[slow]), asks("billing"))
    task = asyncio.create_task(play.run())
    while not slow.asked:
        await asyncio.sleep(0.005)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    assert slow.closed == 1
