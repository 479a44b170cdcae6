"""Fitting a conversation into a context: what may be left out, and what never."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.runtime.context.window import fit, newest, room_for_items, tokens_of
from agents.schema.items import (
    FunctionCall,
    FunctionCallOutput,
    InputText,
    Message,
    Summary,
    user_message,
)
from inference.errors import ContextLengthExceeded
from kernel.ids import new_id


def message(role, text="x"):
    return Message(id=new_id("msg"), role=role, content=(InputText(text=text),))


def call(call_id, arguments="{}"):
    return FunctionCall(id=new_id("fc"), call_id=call_id, name="look", arguments=arguments)


def result(call_id, output="found"):
    return FunctionCallOutput(id=new_id("fco"), call_id=call_id, output=output)


texts = st.text(max_size=60)
ids = st.sampled_from(["c1", "c2", "c3"])
items = st.lists(
    st.one_of(
        st.builds(message, st.sampled_from(["user", "assistant", "developer"]), texts),
        st.builds(call, ids, texts),
        st.builds(result, ids, texts),
        st.builds(lambda text: Summary(id=new_id("sum"), text=text), texts),
    ),
    max_size=25,
)


def fitted(given_items, room):
    """What fits; None if it is refused."""
    try:
        return fit(given_items, room=room)
    except ContextLengthExceeded:
        return None


def pairs(given_items):
    """Each call with the first result of its id that follows it before another such call."""
    open_calls, found = {}, []
    for item in given_items:
        if isinstance(item, FunctionCall):
            open_calls[item.call_id] = item
        elif isinstance(item, FunctionCallOutput) and item.call_id in open_calls:
            found.append((open_calls.pop(item.call_id), item))
    return found


@given(items, st.integers(0, 600))
def test_it_is_never_longer_than_the_room(given_items, room):
    found = fitted(given_items, room)

    assert found is None or sum(map(tokens_of, found.items)) <= room


@given(items, st.integers(0, 600))
def test_the_order_stays_and_nothing_is_lost_or_doubled(given_items, room):
    found = fitted(given_items, room)
    if found is not None:
        place = {item.id: n for n, item in enumerate(given_items)}
        for part in (found.items, found.dropped):
            assert [place[item.id] for item in part] == sorted(place[item.id] for item in part)
        told = {item.id for item in (*found.items, *found.dropped)}
        assert told == set(place)
        assert len(found.items) + len(found.dropped) == len(given_items)


@given(items, st.integers(0, 600))
def test_calls_and_their_results_are_never_parted(given_items, room):
    found = fitted(given_items, room)
    if found is not None:
        included = {item.id for item in found.items}
        for called, answered in pairs(given_items):
            assert (called.id in included) == (answered.id in included)


@given(items, st.integers(0, 600))
def test_no_result_is_told_without_its_call(given_items, room):
    found = fitted(given_items, room)
    if found is not None:
        answered = {answer.id for _, answer in pairs(found.items)}
        told = {item.id for item in found.items if isinstance(item, FunctionCallOutput)}
        assert told == answered


@given(items, st.integers(0, 600))
def test_the_last_question_is_kept_or_the_whole_is_refused(given_items, room):
    found = fitted(given_items, room)
    asked = [item for item in given_items if isinstance(item, Message) and item.role == "user"]
    if found is not None and asked:
        assert asked[-1] in found.items


@given(items)
def test_what_fits_whole_is_left_whole(given_items):
    loose = len([i for i in given_items if isinstance(i, FunctionCallOutput)]) - len(
        pairs(given_items)
    )

    found = fit(given_items, room=sum(map(tokens_of, given_items)))

    assert len(found.dropped) == loose


@given(items, st.integers(0, 300), st.integers(0, 300))
def test_more_room_keeps_more(given_items, room, more):
    less, much = fitted(given_items, room), fitted(given_items, room + more)
    if less is not None:
        assert much is not None
        assert {i.id for i in newest(given_items, room=room)} <= {
            i.id for i in newest(given_items, room=room + more)
        }


def test_the_oldest_goes_first():
    said = [user_message(str(n)) for n in range(5)]

    found = fit(said, room=3 * tokens_of(said[0]))

    assert [item.text for item in found.items] == ["2", "3", "4"]


def test_what_developers_said_outlives_the_talk():
    said = [message("developer", "be kind"), *(user_message(str(n)) for n in range(5))]

    found = fit(said, room=tokens_of(said[0]) + 2 * tokens_of(said[1]))

    assert [item.text for item in found.items] == ["be kind", "3", "4"]


def test_a_question_that_is_too_long_is_refused_with_a_reason():
    with pytest.raises(ContextLengthExceeded) as refusal:
        fit([user_message("x" * 4000)], room=1000)

    assert refusal.value.code == "context_length_exceeded"


def test_bytes_count_and_not_characters():
    assert tokens_of(user_message("水" * 100)) > 2 * tokens_of(user_message("w" * 100))


@pytest.mark.parametrize(("answer", "room"), [(None, 650), (100, 800), (5000, 400)])
def test_a_part_of_the_context_is_left_to_the_answer(answer, room):
    assert room_for_items(context_length=1000, around=100, answer=answer) == room
