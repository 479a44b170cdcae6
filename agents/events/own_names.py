"""What an error is about, under the name that callers of Responses use for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from kernel.errors import PlatformError

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


@contextmanager
def in_own_names() -> Iterator[None]:
    """Errors of what is inside name parameters as `POST /v1/responses` calls them.

    Not for checks of the request as it was sent: these name what the caller wrote.
    """
    try:
        yield
    except PlatformError as error:
        error.param = own_name(error.param)
        raise
