"""The agent loop: a model that calls tools, and everything that it may get wrong."""

import asyncio
import re
import time

import pytest

from agents.runtime.catalog.agents import RunLimits
from agents.runtime.loop.ports import RunProgress
from agents.schema.items import FunctionCallOutput
from agents.schema.loop_events import ItemStarted, StepEnded, StepStarted, ToolEnded, ToolStarted
from inference.errors import UpstreamBroken
from kernel.errors import NotFound
from tenants.admission.usage.records import Usage
from tests.fakes.loop_ports import Stage, kinds, outputs
from tests.fakes.scripted_model import ScriptedModel, calls, says


async def add(arguments):
    return str(arguments["a"] + arguments["b"])


add.schema = {
    "type": "object",
    "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
    "required": ["a", "b"],
}


async def echo(arguments):
    return str(arguments)


async def slow(arguments):
    await asyncio.sleep(arguments.get("seconds", 0.3))
    return "done"


async def broken(arguments):
    raise NotFound("There is no such order.")


def stage(*turns, functions=(add, echo, slow, broken), **changed):
    return Stage(ScriptedModel(*turns), *functions, **changed)


async def test_a_model_that_calls_nothing_answers_in_one_step():
    play = stage(says("Hello there"))

    ended = await play.run()

    assert (ended.state, kinds(ended), play.text) == ("completed", ["message"], "Hello there")
    assert ended.items[0].text == "Hello there"
    assert (ended.progress.steps, ended.progress.tokens) == (1, 15)
    assert (ended.unsaved, play.saves) == (ended.items, [])


async def test_a_tool_is_called_and_its_result_read():
    play = stage(calls(("add", {"a": 2, "b": 3}), text="Let me see."), says("It is 5."))

    ended = await play.run()

    assert kinds(ended) == ["message", "function_call", "function_call_output", "message"]
    assert play.tools.called == [("add", {"a": 2, "b": 3})]
    assert play.model.messages() == [
        ("user", "Hi"),
        ("assistant", [("add", '{"a": 2, "b": 3}')]),
        ("tool", "5"),
    ]
    assert (ended.progress.steps, ended.progress.tool_calls) == (2, 1)


async def test_facts_come_in_an_order_that_clients_can_follow():
    play = stage(calls("echo", text="So"), says("Yes"))

    await play.run()

    assert [type(fact).__name__ for fact in play.facts] == [
        *("StepStarted", "ItemStarted", "TextDelta", "StepEnded", "ItemDone"),
        *("ItemStarted", "ArgumentsDelta", "ItemDone", "ToolStarted", "ToolEnded", "ItemDone"),
        *("StepStarted", "ItemStarted", "TextDelta", "TextDelta", "StepEnded", "ItemDone"),
    ]
    assert [fact.number for fact in play.told(StepStarted)] == [1, 2]
    assert [fact.usage.prompt_tokens for fact in play.told(StepEnded)] == [10, 10]


async def test_white_space_before_a_call_is_no_message():
    play = stage(calls("echo", text="\n\n"), says("Yes"))

    assert kinds(await play.run()) == ["function_call", "function_call_output", "message"]


async def test_an_answer_without_a_word_is_an_empty_message():
    ended = await stage(says("")).run()

    assert (kinds(ended), ended.items[0].text) == (["message"], "")


async def test_parallel_calls_run_side_by_side_and_answer_in_order():
    all_run = asyncio.Barrier(3)

    async def meet(arguments):
        async with asyncio.timeout(
            30
        ):  # of which nothing passes, unless one call waits for another
            await all_run.wait()
        await asyncio.sleep(arguments["seconds"])
        return "done"

    three = [("meet", {"seconds": seconds}) for seconds in (0.02, 0.0, 0.01)]
    play = stage(calls(*three), says("Done"), functions=(meet,))

    ended = await play.run()

    assert outputs(ended) == ["done"] * 3
    asked = [item.call_id for item in ended.items if hasattr(item, "name")]
    answered = [item.call_id for item in ended.items if isinstance(item, FunctionCallOutput)]
    assert asked == answered == ["meet-0", "meet-1", "meet-2"]
    assert next(fact.call_id for fact in play.told(ToolEnded)) == "meet-1"


async def test_where_calls_may_not_be_parallel_only_the_first_one_counts():
    play = stage(calls("echo", "slow"), says("Yes"))

    await play.run(parallel_tool_calls=False)

    assert play.tools.called == [("echo", {})]


async def test_a_tool_that_takes_too_long_is_an_error_that_the_model_reads():
    play = stage(
        calls(("slow", {"seconds": 9}), "echo"), says("Sorry"), slow={"timeout_seconds": 0.1}
    )

    ended = await play.run()

    assert ended.state == "completed"
    assert outputs(ended) == ["Error: The tool took longer than 0.1 s.", "{}"]
    assert sorted(fact.is_error for fact in play.told(ToolEnded)) == [False, True]


async def test_a_tool_that_fails_is_an_error_that_the_model_reads():
    ended = await stage(calls("broken"), says("Sorry")).run()

    assert outputs(ended) == ["Error: There is no such order."]


async def test_a_bug_in_a_tool_ends_the_run_as_a_bug():
    async def buggy(arguments):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stage(calls("buggy"), says("Yes"), functions=(buggy,)).run()


WRONG = [
    (("add", '{"a": 1,'), "not valid JSON"),
    (("add", "[1, 2]"), "not a JSON object"),
    (("add", {"a": 1}), "'b' is a required property"),
    (("add", {"a": 1, "b": "x"}), "b: 'x' is not of type 'number'"),
    (("add", "NaN"), "not valid JSON"),
    (("add", "{" * 100), "not valid JSON|nested more than"),
    (("sum", {}), "There is no tool 'sum'. These are: add"),
    (("", {}), "There is no tool ''"),
]


@pytest.mark.parametrize(("call", "problem"), WRONG)
async def test_a_call_that_is_not_valid_can_be_corrected_once(call, problem):
    play = stage(calls(call), calls(("add", {"a": 1, "b": 1})), says("2"))

    ended = await play.run()

    said, result = outputs(ended)
    assert play.tools.called == [("add", {"a": 1, "b": 1})]
    assert said.endswith("Correct the call and make it again.")
    assert (result, ended.state) == ("2", "completed")
    assert re.search(problem, said)


async def test_after_one_repair_the_error_is_told_as_it_is():
    play = stage(calls(("add", "{")), calls(("add", "{")), says("I cannot"))

    ended = await play.run()

    assert outputs(ended)[1].endswith("The tool was not called.")
    assert (play.tools.called, ended.state) == ([], "completed")


async def test_valid_calls_are_made_though_others_beside_them_are_wrong():
    play = stage(calls(("add", "{"), ("echo", {"x": 1})), says("Half"))

    ended = await play.run()

    assert play.tools.called == [("echo", {"x": 1})]
    assert outputs(ended)[1] == "{'x': 1}"


async def test_engines_never_read_arguments_that_they_cannot_parse():
    play = stage(calls(("add", '{"a"')), says("Sorry"))

    ended = await play.run()

    assert play.model.messages()[1] == ("assistant", [("add", "{}")])
    assert ended.items[0].arguments == '{"a"', "the record keeps what the model wrote"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "echo"}}])
async def test_what_must_be_called_must_be_called_once(choice):
    play = stage(calls("echo"), says("Yes"))

    await play.run(tool_choice=choice)

    assert [asked.tool_choice for asked in play.model.asked] == [choice, "auto"]


async def test_nothing_is_called_where_nothing_may_be():
    play = stage(calls("echo"), says("Yes"))

    ended = await play.run(tool_choice="none")

    assert (play.tools.called, play.model.asked[1].tool_choice) == ([], "none")
    assert outputs(ended)[0].startswith("Error: No tool may be called here.")


async def test_a_tool_that_exists_but_was_not_offered_is_not_called():
    play = stage(calls("slow"), says("Yes"))
    plan = play.plan()
    plan.request.tools.pop(2)

    ended = await play.run(plan)

    assert play.tools.called == []
    assert "There is no tool 'slow'" in outputs(ended)[0]


async def test_ids_that_an_engine_uses_again_are_made_unique():
    play = stage(calls("echo"), calls("echo"), says("Yes"))

    ended = await play.run()

    ids = [item.call_id for item in ended.items if isinstance(item, FunctionCallOutput)]
    assert len(set(ids)) == 2


# Limits


async def test_a_model_that_never_stops_calling_ends_at_its_steps():
    play = stage(calls("echo"))

    ended = await play.run(limits=RunLimits(steps=3))

    assert (ended.state, ended.reason, len(play.model.asked)) == ("incomplete", "max_steps", 3)
    assert ended.items[-1].output == "{}"


async def test_calls_beyond_the_limit_are_not_made_and_have_an_output():
    play = stage(calls("echo", "echo", "echo"))

    ended = await play.run(limits=RunLimits(tool_calls=2))

    assert (ended.state, ended.reason) == ("incomplete", "max_tool_calls")
    assert len(play.tools.called) == 2
    assert outputs(ended)[2].startswith("Error: The tool was not called")


async def test_a_run_ends_when_its_tokens_are_used():
    play = stage(calls("echo"))

    ended = await play.run(limits=RunLimits(tokens=40))

    # 15 tokens a step; the third step's prompt alone would be more than the 10 that are left.
    assert (ended.reason, ended.progress.tokens) == ("max_run_tokens", 30)


async def test_an_answer_is_asked_for_no_longer_than_tokens_are_left():
    play = stage(calls("echo"), says("No more", finish="length"))

    ended = await play.run(limits=RunLimits(tokens=40), max_tokens=100)

    assert [asked.max_tokens for asked in play.model.asked] == [40, 10]
    assert (ended.state, ended.reason) == ("incomplete", "max_run_tokens")


async def test_the_longest_answer_is_that_of_all_steps_together():
    play = stage(calls("echo"))

    ended = await play.run(max_completion_tokens=10)

    assert [asked.max_tokens for asked in play.model.asked] == [10, 5]
    assert (ended.state, ended.reason) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
async def test_a_cut_answer_is_incomplete_and_its_calls_are_not_made(finish, reason):
    play = stage(calls("echo", text="So", finish=finish))

    ended = await play.run()

    assert (ended.state, ended.reason, play.tools.called) == ("incomplete", reason, [])
    assert [item.status for item in ended.items] == ["incomplete"]


async def test_time_ends_a_run_while_the_model_speaks():
    play = stage([*says("Hello there")[:2], *([says("x")[0]] * 1000)])
    play.model.pause = 0.05

    ended = await play.run(limits=RunLimits(seconds=1), done=RunProgress(seconds=0.7))

    assert (ended.state, ended.reason, play.model.closed) == ("incomplete", "max_run_seconds", 1)
    assert (ended.items[0].status, ended.items[0].text) == ("incomplete", play.text)


async def test_time_ends_a_run_while_tools_work_and_every_call_has_an_output():
    play = stage(calls("echo", ("slow", {"seconds": 9})))

    ended = await play.run(limits=RunLimits(seconds=1), done=RunProgress(seconds=0.7))

    assert (ended.state, ended.reason) == ("incomplete", "max_run_seconds")
    assert outputs(ended) == ["{}", "Error: The run ended before the tool had answered."]


async def test_progress_goes_on_where_it_was():
    done = RunProgress(steps=2, tool_calls=3, prompt_tokens=100, completion_tokens=10)

    ended = await stage(says("Yes")).run(done=done)

    assert (ended.progress.steps, ended.progress.tokens) == (3, 125)
    assert ended.progress.tool_calls == 3


# Failures and cancelling


async def test_a_failing_engine_ends_the_run_and_what_was_said_is_told():
    play = stage([*says("Hello there")[:1], UpstreamBroken()])

    with pytest.raises(UpstreamBroken):
        await play.run()

    assert play.facts[-1].item.text == "Hello"
    assert play.facts[-1].item.status == "incomplete"


async def test_a_failure_after_a_step_leaves_that_step_saved():
    play = stage(calls("echo"), [UpstreamBroken()])

    with pytest.raises(UpstreamBroken):
        await play.run()

    ((progress, items),) = play.saves
    assert (progress.steps, [item.__struct_config__.tag for item in items]) == (
        1,
        ["function_call", "function_call_output"],
    )


async def stopped(play, *, once):
    """Cancel a run `once` a fact of that kind was told; the seconds that took."""
    task = asyncio.create_task(play.run())
    while not play.told(once):
        await asyncio.sleep(0.005)
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return time.monotonic() - started


async def test_cancelling_during_a_tool_takes_less_than_a_second():
    play = stage(calls(("slow", {"seconds": 60}), "echo"))

    assert await stopped(play, once=ToolStarted) < 1

    assert (play.saves, [t for t in asyncio.all_tasks() if "Carrier" in repr(t)]) == ([], [])


@pytest.mark.slow
async def test_cancelling_does_not_wait_for_a_tool_that_does_not_listen():
    async def stubborn(arguments):
        for _ in range(20):
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                continue
        return "at last"

    assert await stopped(stage(calls("stubborn"), functions=(stubborn,)), once=ToolStarted) < 1
    await asyncio.sleep(2)


async def test_cancelling_while_the_model_speaks_closes_its_answer():
    play = stage([says("x")[0]] * 1000)
    play.model.pause = 0.02

    assert await stopped(play, once=ItemStarted) < 1

    assert play.model.closed == 1


async def test_cancelling_before_the_first_token_closes_the_question():
    play = stage([says("x")[0]])
    play.model.pause = 60

    assert await stopped(play, once=StepStarted) < 1

    assert play.model.closed == 1


# What tools say


@pytest.mark.parametrize("text", ["nul \x00", "half \ud800 pair"])
async def test_what_cannot_be_kept_is_replaced(text):
    async def odd(arguments):
        return text

    play = stage(calls(("odd", {}), text=text), says(text), functions=(odd,))

    ended = await play.run()

    assert all("\ufffd" in said for said in (outputs(ended)[0], play.text, ended.items[0].text))
    assert "\x00" not in play.text


async def test_a_megabyte_is_cut_and_says_so():
    async def huge(arguments):
        return "x" * 1024 * 1024

    ended = await stage(calls("huge"), says("Much"), functions=(huge,)).run()

    assert outputs(ended)[0].endswith("x\n[cut: the first 32000 of 1048576 characters]")
    assert len(outputs(ended)[0]) < 32_100


async def test_without_a_usage_what_was_seen_is_counted():
    ended = await stage(says("Hello", usage=None)).run()

    assert ended.progress.completion_tokens > 0


async def test_tokens_of_a_hand_off_count_for_the_run_that_handed_over():
    async def helper(arguments):
        play.tools.contexts[-1].budget.spend(Usage(prompt_tokens=100, completion_tokens=50))
        return "done"

    play = stage(calls("helper"), functions=(helper,))

    ended = await play.run(limits=RunLimits(tokens=160))

    assert (ended.reason, ended.progress.tokens) == ("max_run_tokens", 165)


# Functions of the client


async def test_a_function_of_the_client_ends_the_turn():
    play = stage(calls(("paint", {"colour": "red"})))

    ended = await play.run(client_tools=["paint"])

    (call,) = ended.client_calls
    assert (ended.state, call.name, call.arguments) == ("completed", "paint", '{"colour": "red"}')
    assert kinds(ended) == ["function_call"]


async def test_our_tools_are_called_before_the_client_has_its_turn():
    play = stage(calls("paint", "echo"))

    ended = await play.run(client_tools=["paint"])

    assert kinds(ended) == ["function_call", "function_call", "function_call_output"]
    assert [call.name for call in ended.client_calls] == ["paint"]
