"""The cache of sessions, with the table as fallback while Redis is unavailable or full."""

import logging
from typing import Any

import redis
from django.core.cache.backends.redis import RedisCache

log = logging.getLogger(__name__)


class SessionCache(RedisCache):
    """Reads sessions from the table if Redis does not answer.

    Only `delete` raises: a session that was ended must not reappear when Redis is available again.
    """

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        try:
            data = super().get(key, default, version)
        except (redis.RedisError, OSError) as error:
            log.warning("session cache: read failed (error=%s)", error.__class__.__name__)
            return default
        return data if isinstance(data, dict) else default

    def has_key(self, key: Any, version: int | None = None) -> bool:
        try:
            return bool(super().has_key(key, version))
        except (redis.RedisError, OSError) as error:
            log.warning("session cache: read failed (error=%s)", error.__class__.__name__)
            return False

    def set(self, key: Any, value: Any, *args: Any, **options: Any) -> None:
        try:
            super().set(key, value, *args, **options)
        except (redis.RedisError, OSError) as error:
            log.warning("session cache: write failed (error=%s)", error.__class__.__name__)
            self._forget_older(key)

    def _forget_older(self, key: Any) -> None:
        """Delete the older value, which a full Redis still accepts."""
        try:
            super().delete(key)
        except (redis.RedisError, OSError):
            log.warning("session cache: delete failed, an older value may remain")
