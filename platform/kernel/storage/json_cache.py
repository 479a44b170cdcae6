"""How Django's cache keeps values in Redis: as JSON. What cannot be read is not there.

Redis is shared with other versions, and with whoever can reach it: a pickle would run their code.
"""

import logging
from typing import Any

import msgspec

log = logging.getLogger(__name__)


class JsonSerializer:
    """For the option `serializer` of Django's Redis cache."""

    def dumps(self, value: Any) -> bytes:
        return msgspec.json.encode(value)

    def loads(self, data: bytes) -> Any:
        """None for what is no JSON."""
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            log.warning("cache: a value is unreadable (bytes=%d)", len(data))
            return None
