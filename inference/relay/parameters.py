"""The parameters of a chat request: an allow-list with ranges (CONTRACT §2).

Source: the OpenAI API reference, "Create chat completion". What is not listed here is dropped:
engines take extras that must never come from a tenant (priorities, templates, cache salts).
"""

import re
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kernel.errors import InvalidJson, InvalidParameter, MissingParameter

DEEPEST: Final = 64
NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""As JSON spells it; after a backslash that is escaped itself it would be plain text."""

Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Tokens = Annotated[int, Meta(ge=1, le=10_000_000)]
Stop = Annotated[str, Meta(min_length=1, max_length=200)]
Variables = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=4_000)]],
    Meta(max_length=64),
]
"""Texts for the `{{names}}` in an agent's instructions."""


class Parameters(msgspec.Struct, omit_defaults=True, kw_only=True):
    """How to generate; also what an agent may preset."""

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Probability | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stop: Stop | Annotated[list[Stop], Meta(max_length=16)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[float, Meta(ge=-100, le=100)]], Meta(max_length=1024)] | None
    ) = None
    response_format: dict[str, Any] | None = None


class ImageUrl(msgspec.Struct, omit_defaults=True):
    # Only inline images: an engine that fetched addresses would fetch internal ones too.
    url: Annotated[str, Meta(pattern="^data:image/")]
    detail: Literal["auto", "low", "high"] | UnsetType = UNSET


class TextPart(msgspec.Struct, tag_field="type", tag="text"):
    text: str


class ImagePart(msgspec.Struct, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class FunctionCall(msgspec.Struct):
    name: str
    arguments: str


class ToolCall(msgspec.Struct):
    id: str
    function: FunctionCall
    type: Literal["function"] = "function"


class ChatMessage(msgspec.Struct, omit_defaults=True):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart | ImagePart] | None = None
    name: str | UnsetType = UNSET
    tool_calls: Annotated[list[ToolCall], Meta(max_length=128)] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET


class FunctionTool(msgspec.Struct, omit_defaults=True):
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    description: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    strict: bool | None = None


class Tool(msgspec.Struct):
    function: FunctionTool
    type: Literal["function"] = "function"


class StreamOptions(msgspec.Struct, omit_defaults=True):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class ChatRequest(Parameters, omit_defaults=True, kw_only=True):
    """The body of `POST /v1/chat/completions`."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=1000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=8)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    user: Annotated[str, Meta(max_length=256)] | None = None
    """Whom the client serves: the same user stays with one revision of an agent. Not passed on."""
    variables: Variables | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether the client asked for the usage at the end of its stream."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def wants_every_usage(self) -> bool:
        """Whether the client asked for the usage beside every chunk of its stream, vLLM's way."""
        return self.stream_options is not None and bool(self.stream_options.continuous_usage_stats)


class EmbeddingsRequest(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The body of `POST /v1/embeddings`."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    input: (
        Annotated[str, Meta(min_length=1)]
        | Annotated[
            list[str | Annotated[int, Meta(ge=0)] | list[Annotated[int, Meta(ge=0)]]],
            Meta(min_length=1, max_length=2048),
        ]
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None


Request = TypeVar("Request")

# Possessive, and content with a string that does not end: it never tries anew from a later quote.
STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
BRACKETS = re.compile(rb"[\[\]{}]")
PLACE = re.compile(r"^(?P<reason>.*?)(?: - at `\$\.?(?P<place>.*)`)?$", re.DOTALL)
MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")


def parse(body: bytes, request: type[Request]) -> Request:
    """The request in `body`. Raises InvalidJson, MissingParameter or InvalidParameter."""
    ensure_shallow(body)
    ensure_storable(body)
    try:
        return msgspec.json.decode(body, type=request)
    except msgspec.ValidationError as error:
        raise explain(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson from error


def check_parameters(value: object) -> Parameters:
    """The presets of an agent. Raises InvalidParameter; here unknown names are refused."""
    if not isinstance(value, dict):
        raise InvalidParameter("Parameters are a JSON object.")
    unknown = set(value) - set(Parameters.__struct_fields__)
    if unknown:
        names = ", ".join(sorted(map(str, unknown)))
        known = ", ".join(sorted(Parameters.__struct_fields__))
        raise InvalidParameter(f"Not a parameter: {names}. These are: {known}.")
    try:
        return msgspec.convert(value, Parameters)
    except msgspec.ValidationError as error:
        problem = explain(error)
        raise InvalidParameter(problem.message, param=problem.param) from error


def explain(error: msgspec.ValidationError) -> InvalidParameter | MissingParameter:
    """What msgspec says, as one sentence about one parameter."""
    match = PLACE.match(str(error))
    reason, place = (match["reason"], match["place"] or "") if match else (str(error), "")
    missing = MISSING.search(reason)
    if missing:
        name = f"{place}.{missing['name']}" if place else missing["name"]
        return MissingParameter(f"The parameter {name!r} is missing.", param=name)
    if not place:
        return InvalidParameter(f"{reason}.")
    return InvalidParameter(f"{place}: {reason}.", param=place)


def ensure_shallow(body: bytes) -> None:
    """Raises InvalidJson if objects and arrays are nested more than `DEEPEST` deep."""
    if body.count(b"{") + body.count(b"[") <= DEEPEST:
        return
    depth = 0
    for bracket in BRACKETS.finditer(STRINGS.sub(b"", body)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > DEEPEST:
            raise InvalidJson(f"The JSON is nested more than {DEEPEST} deep.")


def ensure_storable(body: bytes) -> None:
    """Raises InvalidParameter if a text in `body` holds a NUL: PostgreSQL keeps none."""
    if b"\\u0000" in body and NUL.search(body):
        raise InvalidParameter("A text may not hold the character U+0000. Leave it out.")
