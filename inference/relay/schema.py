"""The parameters of a chat request: an allow-list with ranges (CONTRACT §2).

Sources: the OpenAI API reference, "Create chat completion"; vLLM's OpenAI-compatible server, "Extra
parameters". What is not listed here is refused by its name: engines take extras that must never
come from a tenant (priorities, templates, cache salts). Null is absent, everywhere.
"""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from inference.relay.requests.content_parts import (
    PATTERNS,
    AudioPart,
    AudioUrlPart,
    FilePart,
    RefusalPart,
    VideoUrlPart,
)
from inference.relay.requests.normalization import with_typed_parts, without_nulls
from kernel.errors import InvalidJson, InvalidParameter, MissingParameter, UnsupportedParameter

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
Word = Annotated[str, Meta(max_length=64)]
TokenId = Annotated[int, Meta(ge=0, le=10_000_000)]
TEMPLATE_ARGUMENT: Final = (
    "^(?!(?:add_generation_prompt|chat_template|continue_final_message|conversation|documents|"
    "max_length|messages|padding|return_.*|tokenize|tokenizer.*|tools|truncation)$)"
    "[A-Za-z_][A-Za-z0-9_]{0,63}$"
)
"""Names that only a template reads: with the others a tenant would bring a template of its own, or
change how the engine reads every prompt."""
TemplateArguments = Annotated[
    dict[Annotated[str, Meta(pattern=TEMPLATE_ARGUMENT)], Any], Meta(max_length=64)
]


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
    detail: Literal["auto", "low", "high", "original"] | None = None


class TextPart(msgspec.Struct, tag_field="type", tag="text"):
    text: str


class ImagePart(msgspec.Struct, tag_field="type", tag="image_url"):
    image_url: ImageUrl


ContentPart = (
    TextPart | ImagePart | AudioPart | AudioUrlPart | VideoUrlPart | FilePart | RefusalPart
)


class FunctionCall(msgspec.Struct):
    name: str
    arguments: str


class ToolCall(msgspec.Struct):
    id: str
    function: FunctionCall
    type: Literal["function"] = "function"


class ChatMessage(msgspec.Struct, omit_defaults=True):
    """One message of the conversation. Members that engines add to their answers, and that no model
    reads (`annotations`), may come back in a history and are not passed on.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Sequence[ContentPart] | None = None
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], Meta(max_length=128)] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning: Any = None
    """What a model has thought, as it told it: models that think between calls need it back."""
    reasoning_content: Any = None
    reasoning_details: Any = None
    prefix: bool | None = None
    """The answer begins with this message: DeepSeek's and Mistral's name."""
    partial: bool | None = None
    """The same; Moonshot's and Qwen's name."""
    audio: Any = None
    """An answer that was spoken: the text beside it is all that a model here can read."""
    function_call: Any = None
    """What tool calls were before there were tools: refused."""


class FunctionTool(msgspec.Struct, omit_defaults=True):
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct):
    function: FunctionTool
    type: Literal["function"] = "function"


class StreamOptions(msgspec.Struct, omit_defaults=True):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class EngineParameters(Parameters, omit_defaults=True, kw_only=True):
    """What engines take beside that. `encoding` knows which engine takes what."""

    reasoning_effort: Word | None = None
    verbosity: Word | None = None
    top_k: Annotated[int, Meta(ge=-1, le=10_000_000)] | None = None
    min_p: Probability | None = None
    typical_p: Probability | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    min_tokens: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    ignore_eos: bool | None = None
    stop_token_ids: Annotated[list[TokenId], Meta(max_length=128)] | None = None
    bad_words: Annotated[list[Stop], Meta(max_length=128)] | None = None
    allowed_token_ids: Annotated[list[TokenId], Meta(max_length=100_000)] | None = None
    include_stop_str_in_output: bool | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    prompt_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logprob_token_ids: Annotated[list[TokenId], Meta(max_length=128)] | None = None
    return_token_ids: bool | None = None
    return_tokens_as_token_ids: bool | None = None
    echo: bool | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    add_special_tokens: bool | None = None
    truncate_prompt_tokens: Annotated[int, Meta(ge=-1, le=10_000_000)] | None = None
    documents: Annotated[list[dict[str, Any]], Meta(max_length=128)] | None = None
    chat_template_kwargs: TemplateArguments | None = None
    include_reasoning: bool | None = None
    thinking_token_budget: Annotated[int, Meta(ge=-1, le=10_000_000)] | None = None
    structured_outputs: dict[str, Any] | None = None
    guided_json: dict[str, Any] | str | None = None
    guided_regex: str | None = None
    guided_choice: Annotated[list[str], Meta(max_length=1024)] | None = None
    guided_grammar: str | None = None
    guided_whitespace_pattern: str | None = None
    grammar: str | None = None
    """llama.cpp's guided_grammar."""
    repeat_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    """llama.cpp's repetition_penalty."""


class ChatRequest(EngineParameters, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
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
    # Notes and hints of OpenAI's that change no answer. Taken, and not passed on.
    metadata: dict[str, Any] | None = None
    modalities: list[Literal["text"]] | None = None
    prediction: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether the client asked for the usage at the end of its stream."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def wants_every_usage(self) -> bool:
        """Whether the client asked for the usage beside every chunk of its stream, vLLM's way."""
        return self.stream_options is not None and bool(self.stream_options.continuous_usage_stats)


class EmbeddingsRequest(
    msgspec.Struct, omit_defaults=True, kw_only=True, forbid_unknown_fields=True
):
    """The body of `POST /v1/embeddings`: texts, or the messages of a chat as vLLM takes them."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    input: (
        Annotated[str, Meta(min_length=1)]
        | Annotated[
            list[str | Annotated[int, Meta(ge=0)] | list[Annotated[int, Meta(ge=0)]]],
            Meta(min_length=1, max_length=2048),
        ]
        | None
    ) = None
    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=1000)] | None = None
    encoding_format: Literal["float", "base64", "bytes"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    truncate_prompt_tokens: Annotated[int, Meta(ge=-1, le=10_000_000)] | None = None
    add_special_tokens: bool | None = None
    normalize: bool | None = None
    embed_dtype: Word | None = None
    endianness: Word | None = None
    input_type: Word | None = None
    user: Annotated[str, Meta(max_length=256)] | None = None
    """A note for OpenAI. Not passed on."""


Request = TypeVar("Request")

# Possessive, and content with a string that does not end: it never tries anew from a later quote.
STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
BRACKETS = re.compile(rb"[\[\]{}]")
ANY_MEMBER: Final = "[...]"
"""How msgspec writes the place of a member with a free name."""
STEPS = re.compile(r"[^.\[\]]+")
PLACE = re.compile(
    r"^(?P<reason>.*?)(?: - at (?P<key>`key` in )?`\$\.?(?P<place>.*)`)?$", re.DOTALL
)
MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")
UNKNOWN = re.compile(r"contains unknown field `(?P<name>[^`]+)`")
PATTERN = re.compile(r"matching regex '(?P<pattern>.*)'")
MAX_SEARCHED_BYTES: Final = 256 * 1024
"""Of a request in which the name of a wrong member is looked for."""

NORMALISING: Final[dict[type, Callable[[Any], Any]]] = {
    ChatRequest: with_typed_parts,
    EmbeddingsRequest: with_typed_parts,
}
"""Beside nulls, which are absent in every request."""


def parse(body: bytes, request: type[Request]) -> Request:
    """The request in `body`. Raises InvalidJson, MissingParameter or InvalidParameter."""
    ensure_shallow(body)
    ensure_storable(body)
    try:
        return msgspec.json.decode(body, type=request)
    except msgspec.ValidationError as error:
        return parse_normalised(body, request, error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson from error


def parse_normalised(
    body: bytes, request: type[Request], refusal: msgspec.ValidationError
) -> Request:
    """The request in `body`, which was refused as it is, in its usual spelling.

    Raises what `parse` does.
    """
    try:
        value = msgspec.json.decode(body)
    except msgspec.ValidationError as error:
        raise explain(refusal) from error  # a number beyond all numbers
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson from error
    normalised = NORMALISING.get(request, unchanged)(without_nulls(value))
    try:
        if normalised == value:
            raise refusal
        return msgspec.json.decode(msgspec.json.encode(normalised), type=request)
    except msgspec.ValidationError as error:
        is_searched = len(body) <= MAX_SEARCHED_BYTES
        name = wrong_member(error, normalised, request) if is_searched else ""
        raise explain(error, name=name) from error


def unchanged(value: Any) -> Any:
    return value


def wrong_member(error: msgspec.ValidationError, value: Any, request: type) -> str:
    """The name of the member that is wrong where msgspec says `[...]`; empty if it is not found."""
    _, place = reason_and_place(error)
    before, found, _ = place.partition(ANY_MEMBER)
    holder = value
    for step in STEPS.findall(before):
        holder = holder[int(step)] if isinstance(holder, list) else dict(holder).get(step)
    if not found or not isinstance(holder, dict):
        return ""
    members = dict(holder)
    while len(members) > 1:
        # Halves: it takes ten attempts to find one of a thousand.
        half = dict(list(members.items())[: len(members) // 2])
        holder.clear()
        holder.update(half)
        if is_refused_at(value, request, before):
            members = half
        else:
            members = {name: members[name] for name in members if name not in half}
    return next(iter(members), "")


def is_refused_at(value: Any, request: type, place: str) -> bool:
    try:
        msgspec.convert(value, request)
    except msgspec.ValidationError as error:
        return reason_and_place(error)[1].startswith(place + ANY_MEMBER)
    return False


def ensure_consistent(request: ChatRequest) -> None:
    """Raises InvalidParameter for options of a stream that was not asked for, and
    UnsupportedParameter for a message whose words would be lost on their way to the engine.
    """
    for index, message in enumerate(request.messages):
        lost = "function_call" if message.function_call else ""
        if message.audio and not (message.content or message.tool_calls):
            lost = "audio"
        if lost:
            param = f"messages[{index}].{lost}"
            raise UnsupportedParameter(f"{param}: No model here can read it.", param=param)
    if request.stream_options is not None and not request.stream:
        raise InvalidParameter(
            "stream_options: They are allowed with `stream: true` only.", param="stream_options"
        )


def ensure_one_input(request: EmbeddingsRequest) -> None:
    """Raises MissingParameter without, and InvalidParameter with two things to embed."""
    if request.input is None and request.messages is None:
        raise MissingParameter("The parameter 'input' is missing.", param="input")
    if request.input is not None and request.messages is not None:
        raise InvalidParameter("messages: Send `input` or `messages`, not both.", param="messages")


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


def explain(
    error: msgspec.ValidationError, *, name: str = ""
) -> InvalidParameter | MissingParameter:
    """What msgspec says, as one sentence about one parameter.

    `name` is that of the member of an object with free names, which msgspec does not tell.
    """
    reason, place = reason_and_place(error)
    place = place.replace(ANY_MEMBER, f".{name}" if name else "", 1)
    missing = MISSING.search(reason)
    if missing:
        param = inside(place, missing["name"])
        return MissingParameter(f"The parameter {param!r} is missing.", param=param)
    unknown = UNKNOWN.search(reason)
    if unknown:
        param = inside(place, unknown["name"])
        return UnsupportedParameter(
            f"The parameter {param!r} is not supported here. Leave it out.", param=param
        )
    pattern = PATTERN.search(reason)
    if pattern:
        reason = PATTERNS.get(pattern["pattern"], "Only arguments of a chat template stand here")
    if not place:
        return InvalidParameter(f"{reason}.")
    return InvalidParameter(f"{place}: {reason}.", param=place)


def reason_and_place(error: msgspec.ValidationError) -> tuple[str, str]:
    """What is wrong, and where in the request; the place is empty for the request as a whole."""
    match = PLACE.match(str(error))
    if match is None:
        return str(error), ""
    return match["reason"], (match["place"] or "") + (ANY_MEMBER if match["key"] else "")


def inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


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
