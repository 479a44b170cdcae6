"""What a tool said, as the model may read it and a table may keep it. Pure."""

import re
from typing import Any

import msgspec

MAX_OUTPUT_CHARS = 32_000
"""Characters, some 8,000 tokens: more than that drowns the conversation."""
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""PostgreSQL keeps no NUL, UTF-8 no half of a surrogate pair; JSON can spell both."""
HALF_AT_END = re.compile("[\ud800-\udbff]\\Z")
"""The first half of a pair, whose other half may come later."""
REPLACEMENT = "\ufffd"
TEXTS = re.compile(r"(text/.*|application/(.*\+)?(json|xml|yaml|x-yaml|javascript|x-ndjson).*)?")
CHARSET = re.compile(r"charset=\"?([\w-]+)", re.IGNORECASE)


def storable(text: str) -> str:
    """`text` with its surrogate pairs joined, and a replacement for each character that cannot be
    kept.
    """
    if not UNSTORABLE.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\x00", REPLACEMENT)


def storable_json(value: Any) -> Any:
    """JSON with a replacement for each character that a column of it cannot hold."""
    match value:
        case str():
            return storable(value)
        case list():
            return [storable_json(each) for each in value]
        case dict():
            return {storable(name): storable_json(each) for name, each in value.items()}
        case _:
            return value


def truncate(text: str, *, longest: int = MAX_OUTPUT_CHARS) -> str:
    """`text`, and a note where it was cut, so that the model knows."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}\n[cut: the first {longest} of {len(text)} characters]"


def decode_body(body: bytes, content_type: str) -> str:
    """A body as text, whatever bytes it holds; a note in place of what is no text."""
    kind = content_type.split(";", maxsplit=1)[0].strip().lower()
    if TEXTS.fullmatch(kind) is None:
        return f"[{len(body)} bytes of {kind[:100]}, which is no text]"
    named = CHARSET.search(content_type)
    try:
        return body.decode(named[1] if named else "utf-8", errors="replace")
    except LookupError:
        return body.decode("utf-8", errors="replace")


def redact_credential(credential: str, text: str) -> str:
    """`text` without the credential, which servers like to repeat in what they answer."""
    if not credential:
        return text
    in_json = msgspec.json.encode(credential).decode()[1:-1]
    return text.replace(credential, "[credential]").replace(in_json, "[credential]")
