"""The outermost edge of every process: what can be mended is a sentence, no stack trace."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from config.env import ConfigurationError


@contextmanager
def exit_on_configuration_error() -> Iterator[None]:
    """Ends the process with the message of a ConfigurationError and exit code 1."""
    try:
        yield
    except ConfigurationError as error:
        sys.exit(str(error))
