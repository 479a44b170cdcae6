"""What a model thinks, says and refuses becomes items, in the order in which it comes."""

import pytest

from agents.runtime.loop.chat_messages import chat_messages
from agents.runtime.loop.model_delta import ModelDelta, ToolCallDelta
from agents.schema.items import (
    FunctionCall,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    user_message,
)
from agents.schema.loop_events import ItemDone, ItemStarted, ReasoningDelta, RefusalDelta, TextDelta
from inference.errors import UpstreamBroken
from tests.fakes.loop_ports import Stage, kinds
from tests.fakes.scripted_model import USAGE, ScriptedModel

END = (ModelDelta(finish_reason="stop"), ModelDelta(usage=USAGE))


def told(play):
    """The facts about items, short."""
    short = {
        ItemStarted: lambda fact: f"+{fact.item.__struct_config__.tag}",
        ReasoningDelta: lambda fact: f"thinks {fact.text}",
        TextDelta: lambda fact: f"says {fact.text}",
        RefusalDelta: lambda fact: f"refuses {fact.text}",
        ItemDone: lambda fact: f"-{fact.item.__struct_config__.tag}",
    }
    return [short[type(fact)](fact) for fact in play.facts if type(fact) in short]


async def test_thoughts_come_before_the_message():
    play = Stage(
        ScriptedModel(
            [
                *(ModelDelta(reasoning=words) for words in ("\n", "Hm, ", "well.")),
                *(ModelDelta(text=words) for words in ("\n", "42")),
                *END,
            ]
        )
    )

    ended = await play.run()

    assert told(play) == [
        *("+reasoning", "thinks Hm, ", "thinks well.", "-reasoning"),
        *("+message", "says \n42", "-message"),
    ]
    assert [item.text for item in ended.items] == ["Hm, well.", "\n42"]


async def test_thoughts_and_words_that_arrive_together_are_kept_apart():
    play = Stage(ScriptedModel([ModelDelta(reasoning="Hm", text="42"), *END]))

    ended = await play.run()

    assert kinds(ended) == ["reasoning", "message"]


async def test_a_model_may_think_again_between_its_words():
    pieces = [ModelDelta(text="One. "), ModelDelta(reasoning="Hm"), ModelDelta(text="Two."), *END]

    ended = await Stage(ScriptedModel(pieces)).run()

    assert kinds(ended) == ["message", "reasoning", "message"]
    assert {item.status for item in ended.items} == {"completed"}


async def test_a_model_that_only_thinks_says_nothing():
    ended = await Stage(ScriptedModel([ModelDelta(reasoning="Hm"), *END])).run()

    assert kinds(ended) == ["reasoning", "message"]
    assert ended.items[-1].text == ""


async def test_thoughts_before_a_call_are_an_item_too():
    async def look(arguments):
        return "seen"

    called = [
        ModelDelta(calls=(ToolCallDelta(index=0, id="a", name="look", arguments="{}"),)),
        *END,
    ]
    play = Stage(
        ScriptedModel([ModelDelta(reasoning="Hm"), *called], [ModelDelta(text="Yes"), *END]), look
    )

    ended = await play.run()

    assert kinds(ended) == ["reasoning", "function_call", "function_call_output", "message"]


async def test_a_refusal_is_a_part_of_its_own():
    play = Stage(ScriptedModel([ModelDelta(refusal="I can"), ModelDelta(refusal="not."), *END]))

    (message,) = (await play.run()).items

    assert message.content == (Refusal(refusal="I cannot."),)
    assert told(play)[:3] == ["+message", "refuses I can", "refuses not."]


async def test_a_refusal_after_words_is_the_next_part():
    (message,) = (
        await Stage(ScriptedModel([ModelDelta(text="Well. ", refusal="No."), *END])).run()
    ).items

    assert [part.text for part in message.content] == ["Well. ", "No."]


@pytest.mark.parametrize("finish", ["length", "model_length", "max_tokens"])
async def test_a_thought_that_is_cut_is_incomplete(finish):
    pieces = [ModelDelta(reasoning="Hm"), ModelDelta(finish_reason=finish), ModelDelta(usage=USAGE)]

    ended = await Stage(ScriptedModel(pieces)).run()

    assert (ended.state, ended.reason) == ("incomplete", "max_output_tokens")
    (thought,) = ended.items
    assert isinstance(thought, Reasoning)
    assert thought.status == "incomplete"


async def test_what_was_thought_before_a_failure_is_told():
    play = Stage(
        ScriptedModel([ModelDelta(reasoning="Hm"), ModelDelta(text="4"), UpstreamBroken()])
    )

    with pytest.raises(UpstreamBroken):
        await play.run()

    assert told(play)[-3:] == ["+message", "says 4", "-message"]
    assert [fact.item.status for fact in play.told(ItemDone)] == ["completed", "incomplete"]


@pytest.mark.parametrize("member", ["reasoning", "reasoning_content", ""])
async def test_a_model_reads_its_thoughts_again_while_it_uses_tools(member):
    async def look(arguments):
        return "seen"

    called = [
        ModelDelta(calls=(ToolCallDelta(index=0, id="a", name="look", arguments="{}"),)),
        *END,
    ]
    thinks = ModelDelta(reasoning="Hm", reasoning_member=member)
    model = ScriptedModel([thinks, *called], [ModelDelta(text="Yes"), *END])

    await Stage(model, look).run()

    said = model.asked[-1].messages[1]
    assert [call.function.name for call in said.tool_calls] == ["look"]
    told = {name: getattr(said, name) for name in ("reasoning", "reasoning_content")}
    assert told == {**dict.fromkeys(told), **({member: "Hm"} if member else {})}


def test_what_was_thought_before_the_users_last_message_is_not_told_again():
    said = [
        user_message("one"),
        Reasoning(id="rs_1", content=(ReasoningText(text="Hm"),)),
        Message(id="msg_1", role="assistant", content=(OutputText(text="1"),)),
        user_message("two"),
        Reasoning(id="rs_2", content=(ReasoningText(text="Ah"),)),
        FunctionCall(id="fc_1", call_id="a", name="look", arguments="{}"),
    ]

    told = [message.reasoning_content for message in chat_messages(said)]

    assert told == [None, None, None, "Ah"]
