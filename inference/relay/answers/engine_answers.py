"""Whether what an engine sent is an answer: failures inside it, finish reasons, texts.

Engines report a failure in many ways: with a status, as 200 with an error object, as one event of a
stream, or by a finish reason. Every door asks here, so that all of them see the same failures.
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
"""Finish reasons with which engines say that they could not go on: the answer is half an answer."""

COMPLAINT_MEMBERS: Final = ("error", "detail", "message", "error_msg")
"""Where the sentence of a failure stands, if nothing of an answer is beside it."""

TEXT_MEMBERS: Final = ("content", "reasoning", "reasoning_content", "refusal")
"""The members of a message, or of a delta, in which a model writes."""


NOTHING: Final = msgspec.Raw(b"null")


class Choice(msgspec.Struct):
    """The parts of a choice by which an answer is judged. Texts are skipped until asked for."""

    index: Any = 0
    finish_reason: Any = None
    delta: msgspec.Raw = NOTHING
    message: msgspec.Raw = NOTHING


class Report(msgspec.Struct):
    """Where an answer of any kind may report a failure."""

    error: Any = None
    object: Any = None
    message: Any = None
    detail: Any = None
    error_msg: Any = None


class Part(Report):
    """The parts by which a chunk of a stream, or a whole answer, is judged."""

    choices: list[Choice] | UnsetType | None = UNSET
    usage: Any = None

    @property
    def finished(self) -> list[str]:
        """The indices of the choices that end here."""
        return [str(each.index) for each in self.choices or () if each.finish_reason]


class Vectors(Report):
    """The parts by which an answer of `/v1/embeddings` is judged. Its numbers are not decoded."""

    data: msgspec.Raw = NOTHING


def read_chunk(data: bytes) -> Part:
    """The chunk in the data of one event.

    Raises UpstreamBroken for what is no JSON object, and what `failure_in` finds.
    """
    try:
        part = msgspec.json.decode(data, type=Part)
    except UNREADABLE as error:
        raise UpstreamBroken from error
    failure = failure_in(part)
    if failure is not None:
        raise failure
    return part


def failure_in(part: Part) -> PlatformError | None:
    """The failure that a chunk reports, wherever it stands in it; None if it is a good chunk."""
    failure = reported_failure(part)
    if failure is not None:
        return failure
    if any(has_failed(each.finish_reason) for each in part.choices or ()):
        return UpstreamBroken()
    if part.choices is UNSET and part.usage is None and (part.message or part.detail):
        return failure_of_error(part.message or part.detail)
    return None


def reported_failure(part: Report) -> PlatformError | None:
    """The failure in an error object, or in an answer that is one itself."""
    if part.error:
        return failure_of_error(part.error)
    if part.object == "error":
        return failure_of_error(members_of(part))
    return failure_of_error(part.error_msg) if part.error_msg else None


def members_of(part: Report) -> dict[str, Any]:
    return {name: getattr(part, name) for name in COMPLAINT_MEMBERS}


def has_failed(finish_reason: object) -> bool:
    """Whether a choice ended because the engine could not go on."""
    return isinstance(finish_reason, str) and finish_reason.lower() in FAILED_FINISHES


def ensure_completion(body: bytes) -> None:
    """Raises unless `body`, sent with status 200, is a whole chat completion.

    UpstreamError if the engine is to blame, so that another endpoint may be tried; a subclass of
    Rejected if the engine's error object says that the request itself is wrong.
    """
    try:
        part = msgspec.json.decode(body, type=Part)
    except UNREADABLE as error:
        raise UpstreamBroken from error
    failure = failure_in(part)
    if failure is not None:
        raise failure
    if not part.choices:
        raise UpstreamBroken


def ensure_vectors(body: bytes) -> None:
    """Raises, as `ensure_completion` does, unless `body` is a whole answer with embeddings."""
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
    """The tokens of a whole answer whose engine counted none. Raises UpstreamBroken."""
    return sum(map(estimate_tokens, texts_of(msgspec.json.decode(body, type=Part))))


def with_usage(body: bytes, usage: Usage) -> bytes:
    """A whole answer that says what is billed for it, where its engine has said nothing.

    Raises UpstreamBroken.
    """
    return msgspec.json.encode({**decoded(body), "usage": counts_of(usage)})


def counts_of(usage: Usage) -> dict[str, int]:
    """As OpenAI's usage object has them."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def decoded(value: bytes | msgspec.Raw) -> Any:
    """JSON whose form was judged. Its numbers were not: raises UpstreamBroken for one that is
    larger than all numbers.
    """
    try:
        return msgspec.json.decode(value)
    except UNREADABLE as error:
        raise UpstreamBroken from error


def texts_of(part: Part) -> Iterator[str]:
    """Everything that the model wrote in a chunk or an answer, the arguments of calls too.

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
    """`block` in valid UTF-8: what is none becomes U+FFFD, as a client's decoder would make it."""
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode(errors="replace").encode()
    return block
