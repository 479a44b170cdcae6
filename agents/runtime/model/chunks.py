"""What the chunks of a chat completion say, in whatever form engines write them. Pure.

Whether a chunk reports a failure is decided before, for all doors alike (`inference.relay`). Here
anything may be null, missing, or of another type than OpenAI's API says: what cannot be read says
nothing, and never ends an answer.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from agents.runtime.loop.ports import ModelDelta, ToolCallDelta
from agents.runtime.loop.tool_output import HALF_AT_END, UNSTORABLE, storable
from inference.errors import UpstreamBroken
from inference.relay.sse import data_of, events_of
from inference.relay.usage import UNREADABLE

Json = Mapping[str, Any]

FIRST: Final = (0, "0", None)
"""How engines number the choice that is read. A missing number is that of the only choice."""
Member = Literal["reasoning_content", "reasoning", ""]
REASONING: Final[tuple[Member, ...]] = ("reasoning_content", "reasoning")
"""Where engines put what a model thinks. Some write both, with the same text."""
NO_ARGUMENTS: Final[tuple[object, ...]] = ({}, [], None)


class Chunk(msgspec.Struct):
    """The member of a `chat.completion.chunk` that is read; the others are skipped."""

    choices: Any = None


class AnswerReader:
    """Reads the first choice of one answer, chunk by chunk.

    Engines that decode token by token write half a character as half a surrogate pair: a half at
    the end of a chunk waits for the other one. A half without the other one is U+FFFD.
    """

    def __init__(self) -> None:
        self._text, self._reasoning, self._refusal = Halves(), Halves(), Halves()

    def read(self, block: bytes) -> ModelDelta:
        """All chunks in `block`, which is whole events, as one. Raises UpstreamBroken for what is
        no chunk.
        """
        found = Found()
        for event in events_of(block):
            for choice in choices_in(data_of(event)):
                if is_first(choice):
                    found.add(choice)
        return ModelDelta(
            text=self._text.join(found.texts),
            reasoning=self._reasoning.join(found.reasoning),
            reasoning_member=found.reasoning_member,
            refusal=self._refusal.join(found.refusal),
            calls=tuple(found.calls),
            finish_reason=found.finish_reason,
        )

    def rest(self) -> ModelDelta:
        """The halves that still wait when the answer has ended."""
        return ModelDelta(
            text=self._text.rest(), reasoning=self._reasoning.rest(), refusal=self._refusal.rest()
        )


class Halves:
    """Joins surrogate pairs that are cut between two texts."""

    def __init__(self) -> None:
        self._half = ""

    def join(self, texts: Iterable[str]) -> str:
        text = self._half + "".join(texts)
        if not UNSTORABLE.search(text):
            return text
        cut = HALF_AT_END.search(text)
        self._half = text[cut.start() :] if cut else ""
        return storable(text[: cut.start()] if cut else text)

    def rest(self) -> str:
        half, self._half = self._half, ""
        return storable(half)


class Found:
    """What the chunks of one block say."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.reasoning: list[str] = []
        self.reasoning_member: Member = ""
        self.refusal: list[str] = []
        self.calls: list[ToolCallDelta] = []
        self.finish_reason: str | None = None

    def add(self, choice: Json) -> None:
        reason = choice.get("finish_reason")
        if reason and isinstance(reason, str):
            self.finish_reason = reason
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._add_delta(delta)

    def _add_delta(self, delta: Json) -> None:
        content = delta.get("content")
        if isinstance(content, str):
            self.texts.append(content)
        elif content:
            self._add_parts(content)
        member = next((name for name in REASONING if delta.get(name)), None)
        if member is not None:
            self.reasoning_member = member
            self.reasoning.extend(texts_in(delta[member]))
        refusal = delta.get("refusal")
        if refusal and isinstance(refusal, str):
            self.refusal.append(refusal)
        if delta.get("tool_calls"):
            self.calls.extend(map(call_piece, objects_in(delta["tool_calls"])))
        elif isinstance(delta.get("function_call"), dict):
            # OpenAI's older form, which has one call at most.
            self.calls.append(call_piece({"index": 0, "function": delta["function_call"]}))

    def _add_parts(self, content: object) -> None:
        """Mistral's models send parts: texts, and what they think as parts of its own."""
        for part in objects_in(content):
            if "thinking" in part:
                self.reasoning.extend(texts_in(part["thinking"]))
            elif part.get("type") == "refusal":
                self.refusal.extend(texts_in(part.get("refusal")))
            else:
                self.texts.extend(texts_in(part))


def choices_in(data: bytes) -> Iterator[Json]:
    """The choices of a chunk. Raises UpstreamBroken for what is no JSON object."""
    if data in {b"", b"[DONE]"}:
        return iter(())
    try:
        choices = msgspec.json.decode(data, type=Chunk).choices
    except UNREADABLE:
        choices = choices_in_loose_json(data)
    return objects_in(choices)


def choices_in_loose_json(data: bytes) -> object:
    """The same of what is no strict JSON: halves of surrogate pairs, NaN, invalid UTF-8."""
    try:
        chunk = json.loads(data.decode(errors="replace"), strict=False)
    except (ValueError, RecursionError) as error:
        raise UpstreamBroken from error
    if not isinstance(chunk, dict):
        raise UpstreamBroken
    return chunk.get("choices")


def is_first(choice: Json) -> bool:
    """With `n` > 1 the choices come interleaved."""
    return choice.get("index") in FIRST


def objects_in(value: object) -> Iterator[Json]:
    """The objects of a list; some engines leave the list out where there is only one."""
    values = value if isinstance(value, list) else [value]
    for each in values:
        if isinstance(each, dict):
            yield each
        elif isinstance(each, str):
            yield {"text": each}


def texts_in(value: object) -> Iterator[str]:
    """A text, or the texts of parts."""
    if isinstance(value, str):
        yield value
        return
    for part in objects_in(value):
        text = part.get("text")
        if isinstance(text, str):
            yield text


def call_piece(call: Json) -> ToolCallDelta:
    function = call.get("function")
    if not isinstance(function, dict):
        function = {}
    return ToolCallDelta(
        index=index_of(call.get("index")),
        id=label_of(call.get("id")),
        name=label_of(function.get("name")),
        arguments=arguments_of(function.get("arguments")),
    )


def index_of(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if type(value) is int else None


def label_of(value: object) -> str:
    """An id or a name; some engines number their calls."""
    return str(value) if isinstance(value, str) or type(value) is int else ""


def arguments_of(value: object) -> str:
    """A piece of text; some engines send a whole object. An empty one stands for nothing yet."""
    if isinstance(value, str):
        return value
    return "" if value in NO_ARGUMENTS else json.dumps(value, separators=(",", ":"))
