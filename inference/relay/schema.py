"""The parameters of chat and embeddings requests: an allow-list with ranges (protocols.md).

Sources: the OpenAI API reference, "Create chat completion"; vLLM's OpenAI-compatible server, "Extra
parameters". Unlisted parameters are rejected: engines accept some that a tenant must not set
(priorities, templates, cache salts). Null counts as absent, everywhere.
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

MAX_DEPTH: Final = 64
NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""NUL as JSON escapes it. After an escaped backslash the same characters are plain text."""

Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Tokens = Annotated[int, Meta(ge=1, le=10_000_000)]
Stop = Annotated[str, Meta(min_length=1, max_length=200)]
Variables = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=4_000)]],
    Meta(max_length=64),
]
"""Values of the `{{names}}` in an agent's instructions."""
Word = Annotated[str, Meta(max_length=64)]
TokenId = Annotated[int, Meta(ge=0, le=10_000_000)]
TEMPLATE_ARGUMENT: Final = (
    "^(?!(?:add_generation_prompt|chat_template|continue_final_message|conversation|documents|"
    "max_length|messages|padding|return_.*|tokenize|tokenizer.*|tools|truncation)$)"
    "[A-Za-z_][A-Za-z0-9_]{0,63}$"
)
"""Names that only a template reads. With the others a tenant could replace the template, or change
how the engine renders every prompt."""
TemplateArguments = Annotated[
    dict[Annotated[str, Meta(pattern=TEMPLATE_ARGUMENT)], Any], Meta(max_length=64)
]


class Parameters(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Sampling parameters of a request, which an agent may preset."""

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


class CalledFunction(msgspec.Struct):
    name: str
    arguments: str


class ToolCall(msgspec.Struct):
    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


class ChatMessage(msgspec.Struct, omit_defaults=True):
    """One message of the conversation. Members that engines add to their responses, and that no
    model reads (`annotations`), are accepted in a history and not passed on.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Sequence[ContentPart] | None = None
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], Meta(max_length=128)] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning: Any = None
    """Reasoning of an earlier response: models that reason between tool calls need it."""
    reasoning_content: Any = None
    reasoning_details: Any = None
    prefix: bool | None = None
    """Whether the response continues this message: the name of DeepSeek and Mistral."""
    partial: bool | None = None
    """The same: the name of Moonshot and Qwen."""
    audio: Any = None
    """Spoken response in a history. Only its text is passed on."""
    function_call: Any = None
    """Predecessor of `tool_calls`, rejected."""


class FunctionTool(msgspec.Struct, omit_defaults=True):
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolDefinition(msgspec.Struct):
    function: FunctionTool
    type: Literal["function"] = "function"


class StreamOptions(msgspec.Struct, omit_defaults=True):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class EngineParameters(Parameters, omit_defaults=True, kw_only=True):
    """Parameters of engines beyond OpenAI's. `encoding` lists what each engine supports."""

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
    """llama.cpp's name of `guided_grammar`."""
    repeat_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    """llama.cpp's name of `repetition_penalty`."""


class ChatRequest(EngineParameters, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/chat/completions`."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=1000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=8)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[ToolDefinition], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    user: Annotated[str, Meta(max_length=256)] | None = None
    """End user of the client; each stays with one revision of an agent. Not passed on."""
    variables: Variables | None = None
    # OpenAI's annotations and hints. Accepted, and not passed on.
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
        """Whether the client requested the usage at the end of its stream."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def wants_every_usage(self) -> bool:
        """Whether the client requested the usage in every chunk, a parameter of vLLM."""
        return self.stream_options is not None and bool(self.stream_options.continuous_usage_stats)


class EmbeddingsRequest(
    msgspec.Struct, omit_defaults=True, kw_only=True, forbid_unknown_fields=True
):
    """The body of `POST /v1/embeddings`: texts or, as in vLLM, chat messages."""

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
    """End user of the client. Not passed on."""


Request = TypeVar("Request")

# Possessive, and matches an unterminated string, so that it never backtracks.
STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
BRACKETS = re.compile(rb"[\[\]{}]")
ANY_MEMBER: Final = "[...]"
"""Path of a member of a dict in the messages of msgspec."""
STEPS = re.compile(r"[^.\[\]]+")
PLACE = re.compile(
    r"^(?P<reason>.*?)(?: - at (?P<key>`key` in )?`\$\.?(?P<place>.*)`)?$", re.DOTALL
)
MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")
UNKNOWN = re.compile(r"contains unknown field `(?P<name>[^`]+)`")
PATTERN = re.compile(r"matching regex '(?P<pattern>.*)'")
MAX_SEARCHED_BYTES: Final = 256 * 1024
"""Size of a request above which the name of an invalid dict member is not searched."""

NORMALIZERS: Final[dict[type, Callable[[Any], Any]]] = {
    ChatRequest: with_typed_parts,
    EmbeddingsRequest: with_typed_parts,
}
"""Normalization by type of request, in addition to the removal of nulls."""


def parse(body: bytes, request: type[Request]) -> Request:
    """Return the request in `body`. Raises InvalidJson, MissingParameter or InvalidParameter."""
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
    """Normalize `body`, which failed validation with `refusal`, and validate it again.

    Raises as `parse`.
    """
    try:
        value = msgspec.json.decode(body)
    except msgspec.ValidationError as error:
        raise explain(refusal) from error  # a number that is out of range
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson from error
    normalised = NORMALIZERS.get(request, unchanged)(without_nulls(value))
    try:
        if normalised == value:
            raise refusal
        return msgspec.json.decode(msgspec.json.encode(normalised), type=request)
    except msgspec.ValidationError as error:
        is_searched = len(body) <= MAX_SEARCHED_BYTES
        name = find_invalid_member(error, normalised, request) if is_searched else ""
        raise explain(error, name=name) from error


def unchanged(value: Any) -> Any:
    return value


def find_invalid_member(error: msgspec.ValidationError, value: Any, request: type) -> str:
    """Return the name of the invalid member that msgspec calls `[...]`; empty if not found."""
    _, place = reason_and_place(error)
    before, found, _ = place.partition(ANY_MEMBER)
    holder = value
    for step in STEPS.findall(before):
        holder = holder[int(step)] if isinstance(holder, list) else dict(holder).get(step)
    if not found or not isinstance(holder, dict):
        return ""
    members = dict(holder)
    while len(members) > 1:
        # Binary search: ten attempts for a thousand members.
        half = dict(list(members.items())[: len(members) // 2])
        holder.clear()
        holder.update(half)
        if is_invalid_at(value, request, before):
            members = half
        else:
            members = {name: members[name] for name in members if name not in half}
    return next(iter(members), "")


def is_invalid_at(value: Any, request: type, place: str) -> bool:
    try:
        msgspec.convert(value, request)
    except msgspec.ValidationError as error:
        return reason_and_place(error)[1].startswith(place + ANY_MEMBER)
    return False


def ensure_consistent(request: ChatRequest) -> None:
    """Raise InvalidParameter for stream options without a stream, and UnsupportedParameter for a
    message with content that would not reach the engine.
    """
    for index, message in enumerate(request.messages):
        lost = "function_call" if message.function_call else ""
        if message.audio and not (message.content or message.tool_calls):
            lost = "audio"
        if lost:
            param = f"messages[{index}].{lost}"
            raise UnsupportedParameter(f"{param}: No model supports it.", param=param)
    if request.stream_options is not None and not request.stream:
        raise InvalidParameter(
            "stream_options: Only allowed with `stream: true`.", param="stream_options"
        )


def ensure_one_input(request: EmbeddingsRequest) -> None:
    """Raise MissingParameter without `input` and `messages`, InvalidParameter with both."""
    if request.input is None and request.messages is None:
        raise MissingParameter("The parameter 'input' is missing.", param="input")
    if request.input is not None and request.messages is not None:
        raise InvalidParameter("messages: Send `input` or `messages`, not both.", param="messages")


def check_parameters(value: object) -> Parameters:
    """Return the presets of an agent. Raises InvalidParameter, also for unknown names."""
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
    """Return msgspec's error as a sentence about one parameter.

    `name` is the name of an invalid dict member, which msgspec does not report.
    """
    reason, place = reason_and_place(error)
    place = place.replace(ANY_MEMBER, f".{name}" if name else "", 1)
    missing = MISSING.search(reason)
    if missing:
        param = joined_path(place, missing["name"])
        return MissingParameter(f"The parameter {param!r} is missing.", param=param)
    unknown = UNKNOWN.search(reason)
    if unknown:
        param = joined_path(place, unknown["name"])
        return UnsupportedParameter(
            f"The parameter {param!r} is not supported here. Leave it out.", param=param
        )
    pattern = PATTERN.search(reason)
    if pattern:
        reason = PATTERNS.get(pattern["pattern"], "Only arguments of a chat template are allowed")
    if not place:
        return InvalidParameter(f"{reason}.")
    return InvalidParameter(f"{place}: {reason}.", param=place)


def reason_and_place(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return the reason and the path in the request; the path is empty for the whole request."""
    match = PLACE.match(str(error))
    if match is None:
        return str(error), ""
    return match["reason"], (match["place"] or "") + (ANY_MEMBER if match["key"] else "")


def joined_path(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def ensure_shallow(body: bytes) -> None:
    """Raise InvalidJson if objects and arrays are nested deeper than `MAX_DEPTH`."""
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in BRACKETS.finditer(STRINGS.sub(b"", body)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise InvalidJson(f"The JSON is nested more than {MAX_DEPTH} deep.")


def ensure_storable(body: bytes) -> None:
    """Raise InvalidParameter if a string in `body` contains NUL, which PostgreSQL cannot store."""
    if b"\\u0000" in body and NUL.search(body):
        raise InvalidParameter("A text may not contain the character U+0000. Remove it.")
