"""Validation of engine responses: reported failures, finish reasons, texts.

Engines report a failure in many ways: with a status, as 200 with an error object, as one event of a
stream, or by a finish reason. Every door uses these functions, so all of them find the same
failures.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from inference.errors import UpstreamBroken
from inference.relay.answers.refusals import failure_of_error
from inference.relay.usage import UNREADABLE, estimate_tokens
from kernel.errors import PlatformError
from tenants.admission.usage.records import Usage

FAILED_FINISHES: Final = frozenset(
    {
        "error",
        "insufficient_system_resource",
        "abort",
        "aborted",
        "engine_error",
        "internal_error",
        "network_error",
        "server_error",
    }
)
"""Finish reasons of a generation that the engine aborted: the response is incomplete."""

COMPLAINT_MEMBERS: Final = ("error", "detail", "message", "error_msg")
"""Members that hold the message of a failure, in an object without choices."""

TEXT_MEMBERS: Final = ("content", "reasoning", "reasoning_content", "refusal")
"""Members of a message or delta that hold generated text."""


NOTHING: Final = msgspec.Raw(b"null")


class Choice(msgspec.Struct):
    """The members of a choice that are validated. Texts are decoded on demand."""

    index: Any = 0
    finish_reason: Any = None
    delta: msgspec.Raw = NOTHING
    message: msgspec.Raw = NOTHING


class FailureReport(msgspec.Struct):
    """Members in which any response may report a failure."""

    error: Any = None
    object: Any = None
    message: Any = None
    detail: Any = None
    error_msg: Any = None


class JudgedAnswer(FailureReport):
    """The members of a chunk, or of a complete response, that are validated."""

    choices: list[Choice] | UnsetType | None = UNSET
    usage: Any = None

    @property
    def finished(self) -> list[str]:
        """Indices of the choices that finish in this chunk."""
        return [str(each.index) for each in self.choices or () if each.finish_reason]


class Vectors(FailureReport):
    """The members of a response of `/v1/embeddings` that are validated. Vectors are not decoded."""

    data: msgspec.Raw = NOTHING


def read_chunk(data: bytes) -> JudgedAnswer:
    """Return the chunk in the data of one event.

    Raises UpstreamBroken unless `data` is a JSON object, and the failure found by `failure_in`.
    """
    try:
        part = msgspec.json.decode(data, type=JudgedAnswer)
    except UNREADABLE as error:
        raise UpstreamBroken from error
    failure = failure_in(part)
    if failure is not None:
        raise failure
    return part


def failure_in(part: JudgedAnswer) -> PlatformError | None:
    """Return the failure that a chunk reports in any of its members; None for a valid chunk."""
    failure = reported_failure(part)
    if failure is not None:
        return failure
    if any(has_failed(each.finish_reason) for each in part.choices or ()):
        return UpstreamBroken()
    if part.choices is UNSET and part.usage is None and (part.message or part.detail):
        return failure_of_error(part.message or part.detail)
    return None


def reported_failure(part: FailureReport) -> PlatformError | None:
    """Return the failure in an error member, or in a response that is an error object."""
    if part.error:
        return failure_of_error(part.error)
    if part.object == "error":
        return failure_of_error(members_of(part))
    return failure_of_error(part.error_msg) if part.error_msg else None


def members_of(part: FailureReport) -> dict[str, Any]:
    return {name: getattr(part, name) for name in COMPLAINT_MEMBERS}


def has_failed(finish_reason: object) -> bool:
    """Return whether a choice ended because the engine aborted it."""
    return isinstance(finish_reason, str) and finish_reason.lower() in FAILED_FINISHES


def ensure_completion(body: bytes) -> None:
    """Raise unless `body`, sent with status 200, is a complete chat completion.

    Raises UpstreamError for a failure of the engine, so that another endpoint may be tried, and a
    subclass of Rejected if the engine's error object is about the request itself.
    """
    try:
        part = msgspec.json.decode(body, type=JudgedAnswer)
    except UNREADABLE as error:
        raise UpstreamBroken from error
    failure = failure_in(part)
    if failure is not None:
        raise failure
    if not part.choices:
        raise UpstreamBroken


def ensure_vectors(body: bytes) -> None:
    """Raise, as `ensure_completion` does, unless `body` is a complete list of embeddings."""
    try:
        answer = msgspec.json.decode(body, type=Vectors)
    except UNREADABLE as error:
        raise UpstreamBroken from error
    failure = reported_failure(answer)
    if failure is not None:
        raise failure
    if bytes(memoryview(answer.data)[:1]) != b"[":
        raise UpstreamBroken


def estimated_tokens(body: bytes) -> int:
    """Return the estimated tokens of a response without usage. Raises UpstreamBroken."""
    return sum(map(estimate_tokens, texts_of(msgspec.json.decode(body, type=JudgedAnswer))))


def with_usage(body: bytes, usage: Usage) -> bytes:
    """Return `body`, a response without usage, with the billed usage. Raises UpstreamBroken."""
    return msgspec.json.encode({**decoded(body), "usage": counts_of(usage)})


def counts_of(usage: Usage) -> dict[str, int]:
    """Return OpenAI's usage object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def decoded(value: bytes | msgspec.Raw) -> Any:
    """Decode JSON whose structure was validated.

    Raises UpstreamBroken, for example for a number that is out of range.
    """
    try:
        return msgspec.json.decode(value)
    except UNREADABLE as error:
        raise UpstreamBroken from error


def texts_of(part: JudgedAnswer) -> Iterator[str]:
    """Yield the generated texts of a chunk or response, with the arguments of tool calls.

    Raises UpstreamBroken.
    """
    for choice in part.choices or ():
        for words in map(decoded, (choice.delta, choice.message)):
            if isinstance(words, Mapping):
                yield from texts_in(words)


def texts_in(words: Mapping[str, Any]) -> Iterator[str]:
    for name in TEXT_MEMBERS:
        if isinstance(words.get(name), str):
            yield words[name]
        elif words.get(name):
            yield msgspec.json.encode(words[name]).decode()
    if words.get("tool_calls"):
        yield msgspec.json.encode(words["tool_calls"]).decode()


def readable(block: bytes) -> bytes:
    """Return `block` in valid UTF-8. Invalid bytes become U+FFFD, as in a client's decoder."""
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode(errors="replace").encode()
    return block
