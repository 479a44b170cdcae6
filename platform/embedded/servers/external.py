"""Checks of external PostgreSQL and Redis servers before the stack uses them."""

import psycopg
import redis

from embedded.errors import CannotStart
from kernel.logs import redact
from kernel.storage.redis import connect

CONNECT_TIMEOUT_SECONDS = 5


def require_database(url: str) -> None:
    """Raise CannotStart unless a PostgreSQL answers at `url`."""
    try:
        psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_SECONDS).close()
    except psycopg.Error as error:
        raise CannotStart(
            f"The PostgreSQL of DATABASE_URL cannot be used: {one_line(error)}. "
            "Correct DATABASE_URL (postgresql://user:password@host:5432/name), start that server, "
            "or unset the variable to use the embedded one."
        ) from error


def require_redis(url: str) -> None:
    """Raise CannotStart unless a Redis or Valkey answers at `url`."""
    try:
        with connect(url) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise CannotStart(
            f"The Redis of REDIS_URL cannot be used: {one_line(error)}. "
            "Correct REDIS_URL (redis://:password@host:6379/0), start that server, "
            "or unset the variable to use the embedded one."
        ) from error


def one_line(error: Exception) -> str:
    """Return the message of a driver without passwords and line breaks."""
    return " ".join(redact(str(error).replace("\n", " ")).split()).rstrip(".")
