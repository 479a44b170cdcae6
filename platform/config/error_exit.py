"""The exit of every process on a configuration error: a message without a stack trace."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from config.env import ConfigurationError


@contextmanager
def exit_on_configuration_error() -> Iterator[None]:
    """Exit with the message of a ConfigurationError and status 1."""
    try:
        yield
    except ConfigurationError as error:
        sys.exit(str(error))
