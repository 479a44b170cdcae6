"""The `param` of an error, under the name that it has in `POST /v1/responses`."""

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
"""Maps names of chat requests, which engines use in errors, to names of the Responses API."""


def responses_name(param: str | None) -> str | None:
    """Return the name of `param` in `POST /v1/responses`."""
    return RESPONSES.get(param or "", param)


@contextmanager
def with_responses_names() -> Iterator[None]:
    """Rename the `param` of errors raised inside the block to its name in `POST /v1/responses`.

    Do not use it for checks of the request as it was sent: those use the caller's names already.
    """
    try:
        yield
    except PlatformError as error:
        error.param = responses_name(error.param)
        raise
