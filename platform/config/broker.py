"""Celery's broker on Redis, with corrections of kombu 5.7 for failures of the server.

* A task that ends after its connection was lost is acknowledged on a channel without a connection;
  kombu then reads the address of None, and the AttributeError ends the worker.
* A server that was demoted, is full or loads its data answers with an error that does not look like
  a connection error. The connection is closed, so that the next one leads to the current server.
* An entry of a queue that is not a message would end the worker that reads it.
"""

from typing import Any

import redis
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis

from kernel.storage.redis import TcpConnection, TlsConnection
from kernel.storage.shared_values import note_unreadable

SCHEMES = ("redis", "rediss")


class Channel(kombu_redis.Channel):
    """kombu's channel with errors on which Celery reconnects."""

    connection_class = TcpConnection
    connection_class_ssl = TlsConnection

    def _connparams(self, *args: Any, **options: Any) -> Any:
        if self.connection is None or self.connection.client is None:
            raise redis.ConnectionError("the connection of this channel was closed")
        return super()._connparams(*args, **options)  # type: ignore[no-untyped-call]

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (ValueError, TypeError) as error:
            note_unreadable("task", error)
            return True


class Transport(kombu_redis.Transport):
    """kombu's transport for `redis://` and `rediss://`, with this channel."""

    Channel = Channel


def use_transport() -> None:
    """Register the transport under kombu's own schemes."""
    for scheme in SCHEMES:
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
