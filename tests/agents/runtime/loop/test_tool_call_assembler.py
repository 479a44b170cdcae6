"""Tool calls in pieces: however an engine cuts and labels them, the same calls come out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.runtime.loop.model_delta import ToolCallDelta as Piece
from agents.runtime.loop.tool_call_assembler import ToolCallAssembler


def assemble(*pieces, taken=()):
    assembly = ToolCallAssembler()
    for piece in pieces:
        assembly.add(piece)
    return [(call.id, call.name, call.arguments) for call in assembly.calls(taken=taken)]


STYLES = {
    "as in OpenAI's API": [
        Piece(index=0, id="a", name="f"),
        Piece(index=0, arguments='{"x":'),
        Piece(index=0, arguments="1}"),
        Piece(index=1, id="b", name="g"),
        Piece(index=1, arguments="{}"),
    ],
    "interleaved": [
        Piece(index=0, id="a", name="f"),
        Piece(index=1, id="b", name="g", arguments="{"),
        Piece(index=0, arguments='{"x":1}'),
        Piece(index=1, arguments="}"),
    ],
    "all at once": [
        Piece(index=0, id="a", name="f", arguments='{"x":1}'),
        Piece(index=1, id="b", name="g", arguments="{}"),
    ],
    "without an index": [
        Piece(id="a", name="f", arguments='{"x":'),
        Piece(arguments="1}"),
        Piece(id="b", name="g", arguments="{}"),
    ],
    "every index 0": [
        Piece(index=0, id="a", name="f", arguments='{"x":1}'),
        Piece(index=0, id="b", name="g", arguments="{}"),
    ],
    "the id with every piece": [
        Piece(index=0, id="a", name="f"),
        Piece(index=0, id="a", arguments='{"x":1}'),
        Piece(index=1, id="b", name="g"),
        Piece(index=1, id="b", arguments="{}"),
    ],
    "a new id with every piece": [
        Piece(index=0, id="a", name="f"),
        Piece(index=0, id="z", arguments='{"x":1}'),
        Piece(index=1, id="b", name="g"),
        Piece(index=1, id="y", arguments="{}"),
    ],
    "the name with every piece": [
        Piece(index=0, id="a", name="f"),
        Piece(index=0, name="f", arguments='{"x":1}'),
        Piece(index=1, id="b", name="g"),
        Piece(index=1, name="g", arguments="{}"),
    ],
    "the id after the name": [
        Piece(index=0, name="f"),
        Piece(index=0, id="a", arguments='{"x":1}'),
        Piece(index=1, name="g"),
        Piece(index=1, id="b", arguments="{}"),
    ],
}


@pytest.mark.parametrize("pieces", STYLES.values(), ids=STYLES)
def test_every_engines_style_gives_the_same_calls(pieces):
    assert assemble(*pieces) == [("a", "f", '{"x":1}'), ("b", "g", "{}")]


def test_calls_of_one_tool_without_ids_and_indices_are_kept_apart():
    pieces = [Piece(name="f", arguments='{"x":1}'), Piece(name="f", arguments='{"x":2}')]

    calls = assemble(*pieces)

    assert [arguments for _, _, arguments in calls] == ['{"x":1}', '{"x":2}']
    assert len({call_id for call_id, _, _ in calls}) == 2


def test_a_missing_id_is_made_as_the_strictest_templates_want_it():
    ((call_id, _, _),) = assemble(Piece(index=0, name="f"))

    assert len(call_id) == 9
    assert call_id.isalnum()


def test_an_id_that_was_used_before_is_replaced():
    same = [Piece(index=0, id="a", name="f"), Piece(index=1, id="a", name="g")]

    ids = [call_id for call_id, _, _ in assemble(*same, taken={"b"})]
    assert ids[0] == "a" != ids[1]
    assert assemble(same[0], taken={"a"})[0][0] != "a"


def test_empty_pieces_are_no_calls():
    assert assemble(Piece(), Piece(index=0), Piece(index=1, id="a")) == []


@given(
    st.lists(st.dictionaries(st.text(), st.integers() | st.text()), min_size=1, max_size=4),
    st.data(),
)
def test_arguments_split_anywhere_come_together(called, data):
    pieces = []
    for index, arguments in enumerate(called):
        text = json.dumps(arguments, ensure_ascii=False)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
        pieces.append(Piece(index=index, id=f"c{index}", name="f"))
        pieces += [
            Piece(index=index, arguments=text[start:end])
            for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)
        ]

    assert [json.loads(text) for _, _, text in assemble(*pieces)] == called


@given(
    st.lists(
        st.builds(
            Piece,
            index=st.none() | st.integers(-1, 3),
            id=st.sampled_from(["", "a", "b"]),
            name=st.sampled_from(["", "f", "g"]),
            arguments=st.sampled_from(["", "{", "}", "{}", "\x00", "é"]),
        )
    )
)
def test_nonsense_gives_calls_with_ids_of_their_own(pieces):
    ids = [call_id for call_id, _, _ in assemble(*pieces, taken={"b"})]

    assert len(set(ids)) == len(ids)
    assert "b" not in ids
