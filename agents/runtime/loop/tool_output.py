"""Prepares the output of tools for models and tables: storable, truncated, redacted. Pure."""

import re
from typing import Any

import msgspec

MAX_OUTPUT_CHARS = 32_000
"""About 8,000 tokens. A longer output would displace the conversation in the context."""
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""PostgreSQL cannot store NUL, nor UTF-8 half a surrogate pair; JSON can contain both."""
HALF_AT_END = re.compile("[\ud800-\udbff]\\Z")
"""The first half of a surrogate pair, whose other half may follow."""
REPLACEMENT = "\ufffd"
TEXTS = re.compile(r"(text/.*|application/(.*\+)?(json|xml|yaml|x-yaml|javascript|x-ndjson).*)?")
CHARSET = re.compile(r"charset=\"?([\w-]+)", re.IGNORECASE)


def storable(text: str) -> str:
    """`text` with joined surrogate pairs, and U+FFFD for each character that cannot be stored."""
    if not UNSTORABLE.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\x00", REPLACEMENT)


def storable_json(value: Any) -> Any:
    """JSON with U+FFFD for each character that a JSON column cannot store."""
    match value:
        case str():
            return storable(value)
        case list():
            return [storable_json(each) for each in value]
        case dict():
            return {storable(name): storable_json(each) for name, each in value.items()}
        case _:
            return value


def truncate(text: str, *, max_chars: int = MAX_OUTPUT_CHARS) -> str:
    """`text` of at most `max_chars`, with a note for the model if it was cut."""
    if len(text) <= max_chars:
        return text
    return f"{text[:max_chars]}\n[cut: the first {max_chars} of {len(text)} characters]"


def decode_body(body: bytes, content_type: str) -> str:
    """Return a body as text, whatever bytes it contains; a note for types that are no text."""
    kind = content_type.split(";", maxsplit=1)[0].strip().lower()
    if TEXTS.fullmatch(kind) is None:
        return f"[{len(body)} bytes of {kind[:100]}, which is no text]"
    named = CHARSET.search(content_type)
    try:
        return body.decode(named[1] if named else "utf-8", errors="replace")
    except LookupError:
        return body.decode("utf-8", errors="replace")


def redact_credential(credential: str, text: str) -> str:
    """`text` without the credential, which servers may repeat in their responses."""
    if not credential:
        return text
    in_json = msgspec.json.encode(credential).decode()[1:-1]
    return text.replace(credential, "[credential]").replace(in_json, "[credential]")
