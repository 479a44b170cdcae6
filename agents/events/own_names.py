"""What an error is about, under the name that callers of Responses use for it. Pure."""

RESPONSES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
}
"""By the names that chat requests have, which engines complain about."""


def own_name(param: str | None) -> str | None:
    """`param`, as `POST /v1/responses` calls it."""
    return RESPONSES.get(param or "", param)
