"""How large a chat request is for the gate: each text in it counts once."""

import pytest

from agents.runtime.model.prompt_size import MESSAGE_OVERHEAD_BYTES, message_bytes
from inference.relay.schema import ChatMessage

THOUGHT = "t" * 1000
QUOTES = 2
"""Members beside the content are counted as JSON."""


@pytest.mark.parametrize("member", ["reasoning", "reasoning_content", "refusal"])
def test_a_text_beside_the_content_counts_once(member):
    message = ChatMessage(role="assistant", content="x", **{member: THOUGHT})
    assert message_bytes(message) == MESSAGE_OVERHEAD_BYTES + 1 + len(THOUGHT) + QUOTES


def test_a_thought_under_both_names_is_one_thought():
    message = ChatMessage(
        role="assistant", content="x", reasoning=THOUGHT, reasoning_content=THOUGHT
    )
    assert message_bytes(message) == MESSAGE_OVERHEAD_BYTES + 1 + len(THOUGHT) + QUOTES
