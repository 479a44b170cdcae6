"""Reads the chunks of a chat completion, in every form in which engines write them. Pure.

`inference.relay` has checked before whether a chunk reports a failure. Here any member may be
null, missing, or of another type than in OpenAI's API: an unreadable member is ignored, and never
ends a response.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from agents.runtime.loop.model_delta import ModelDelta, ToolCallDelta
from agents.runtime.loop.tool_output import HALF_AT_END, UNSTORABLE, storable
from inference.errors import UpstreamBroken
from inference.relay.sse import data_of, events_of
from inference.relay.usage import UNREADABLE

Json = Mapping[str, Any]

FIRST: Final = (0, "0", None)
"""The indexes of the choice that is read. An engine with a single choice may omit the index."""
Member = Literal["reasoning_content", "reasoning", ""]
REASONING: Final[tuple[Member, ...]] = ("reasoning_content", "reasoning")
"""The members in which engines write reasoning. Some write both, with the same text."""
NO_ARGUMENTS: Final[tuple[object, ...]] = ({}, [], None)


class Chunk(msgspec.Struct):
    """The member of a `chat.completion.chunk` that is read; the others are skipped."""

    choices: Any = None


class AnswerReader:
    """Reads the first choice of one response, chunk by chunk.

    Engines that decode token by token may split a surrogate pair: a half at the end of a chunk is
    held back until the other half comes. A half without the other becomes U+FFFD.
    """

    def __init__(self) -> None:
        self._text, self._reasoning, self._refusal = Halves(), Halves(), Halves()

    def read(self, block: bytes) -> ModelDelta:
        """Return all chunks of `block`, which consists of complete events, as one delta.

        Raises UpstreamBroken for an event that is no chunk.
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
        """Return the halves that are held back when the response has ended."""
        return ModelDelta(
            text=self._text.rest(), reasoning=self._reasoning.rest(), refusal=self._refusal.rest()
        )


class Halves:
    """Joins surrogate pairs that are split between two texts."""

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
    """Collects the members of the chunks of one block."""

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
        """Mistral's models send parts: texts, and reasoning as parts of its own."""
        for part in objects_in(content):
            if "thinking" in part:
                self.reasoning.extend(texts_in(part["thinking"]))
            elif part.get("type") == "refusal":
                self.refusal.extend(texts_in(part.get("refusal")))
            else:
                self.texts.extend(texts_in(part))


def choices_in(data: bytes) -> Iterator[Json]:
    """Return the choices of a chunk. Raises UpstreamBroken if it is no JSON object."""
    if data in {b"", b"[DONE]"}:
        return iter(())
    try:
        choices = msgspec.json.decode(data, type=Chunk).choices
    except UNREADABLE:
        choices = choices_in_loose_json(data)
    return objects_in(choices)


def choices_in_loose_json(data: bytes) -> object:
    """Return the choices of a chunk with split surrogate pairs, NaN or invalid UTF-8."""
    try:
        chunk = json.loads(data.decode(errors="replace"), strict=False)
    except (ValueError, RecursionError) as error:
        raise UpstreamBroken from error
    if not isinstance(chunk, dict):
        raise UpstreamBroken
    return chunk.get("choices")


def is_first(choice: Json) -> bool:
    """Return whether it is the choice that is read: with `n` > 1 they are interleaved."""
    return choice.get("index") in FIRST


def objects_in(value: object) -> Iterator[Json]:
    """Yield the objects of a list; some engines omit the list around a single object."""
    values = value if isinstance(value, list) else [value]
    for each in values:
        if isinstance(each, dict):
            yield each
        elif isinstance(each, str):
            yield {"text": each}


def texts_in(value: object) -> Iterator[str]:
    """Yield a text, or the texts of parts."""
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
    """Return an id or a name; some engines number their calls."""
    return str(value) if isinstance(value, str) or type(value) is int else ""


def arguments_of(value: object) -> str:
    """Return a piece of the arguments as text.

    Some engines send an object; an empty one is ignored.
    """
    if isinstance(value, str):
        return value
    return "" if value in NO_ARGUMENTS else json.dumps(value, separators=(",", ":"))
