"""JSON serialization of Django's cache in Redis. Unreadable values count as missing.

Redis is shared with other versions and may be written by attackers: a pickle would run their code.
"""

import logging
from typing import Any

import msgspec

log = logging.getLogger(__name__)


class JsonSerializer:
    """The option `serializer` of Django's Redis cache."""

    def dumps(self, value: Any) -> bytes:
        return msgspec.json.encode(value)

    def loads(self, data: bytes) -> Any:
        """Return the value; None for invalid JSON."""
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            log.warning("cache: value unreadable (bytes=%d)", len(data))
            return None
