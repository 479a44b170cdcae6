"""How the fake model server behaves: how much it says, how fast, and what goes wrong."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

from tests.fakes.script import CallStyle, Turn


class Fault(StrEnum):
    """What goes wrong with the answer. All but REFUSES leave the status at 200."""

    NONE = "none"
    REFUSES = "refuses"
    """Answers with `status` and `error_body`."""
    CLOSES = "closes"
    """Reads the request and closes the connection before any byte of an answer."""
    STALLS = "stalls"
    """Says nothing for ever: not even the status line."""
    STALLS_AFTER = "stalls_after"
    """The same in the middle of a stream, after `after_chunks` tokens."""
    DIES_AFTER = "dies_after"
    """Closes the connection after `after_chunks` tokens, with no [DONE]."""
    TRUNCATED_JSON = "truncated_json"
    """Valid HTTP; the JSON (in a stream: of the chunk after `after_chunks`) stops in the middle."""
    GARBAGE = "garbage"
    """200 with a page of HTML, as a badly set up proxy answers."""
    ENDLESS_LINE = "endless_line"
    """Ten megabytes without a line end."""


class UsageForm(StrEnum):
    """What stands where the usage belongs."""

    EXACT = "exact"
    ABSENT = "absent"
    NULL = "null"
    ZERO = "zero"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One way to answer. Change it with `dataclasses.replace`, or from text with `with_fields`."""

    tokens: int = 8
    """Tokens of an answer that no `max_tokens` cuts short."""
    word: str = "tok"
    script: tuple[Turn, ...] = ()
    """What is said instead, turn by turn (`tests.fakes.script`); a token is a word or a piece."""
    call_style: CallStyle = CallStyle.PIECES
    calls_finish: str = "tool_calls"
    """The finish_reason of an answer that calls tools; some engines say "stop"."""
    first_token_seconds: float = 0.0
    token_seconds: float = 0.0
    """Pause between two tokens of a stream; a complete answer takes as long as its stream would."""

    fault: Fault = Fault.NONE
    after_chunks: int = 3
    status: int = 500
    error_body: str = '{"error":{"message":"made to fail","type":"InternalServerError","code":500}}'
    retry_after: str = ""
    """The Retry-After header of a refusal; none if empty."""

    wants_outputs: bool = False
    """Refuses a history with a call that no output follows, as OpenAI and DeepSeek do."""
    usage: UsageForm = UsageForm.EXACT
    sends_done: bool = True
    crlf: bool = False
    """Lines of a stream end in CR LF, which the event-stream format allows."""
    splits_utf8: bool = False
    """Every write ends inside a character of several bytes."""
    gzip: bool = False
    """Compressed, whatever the client accepts."""
    huge_header: bool = False
    """One header line of 100 kB."""

    def with_fields(self, texts: Mapping[str, Any]) -> Self:
        """The same with some fields changed. Raises ValueError for a field that does not exist."""
        kinds = {field.name: type(getattr(self, field.name)) for field in fields(self)}
        unknown = sorted(set(texts) - set(kinds))
        if unknown:
            raise ValueError(f"a Behaviour has no {', '.join(unknown)}")
        return replace(self, **{name: read(kinds[name], text) for name, text in texts.items()})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def read(kind: type, text: Any) -> Any:
    if kind is bool:
        return str(text).lower() in {"1", "true", "yes"}
    return kind(text)


WISH = re.compile(r"\[fake ([^\]]*)\]")


def wished(behaviour: Behaviour, prompt: str) -> Behaviour:
    """What this request asks for: `[fake tokens=3 token_seconds=0.1]` anywhere in its prompt.

    A prompt goes through every gateway unchanged; headers and unknown parameters do not.
    """
    match = WISH.search(prompt)
    if match is None:
        return behaviour
    return behaviour.with_fields(dict(pair.split("=", 1) for pair in match[1].split()))
