"""Celery's broker on Redis, with what kombu 5.7 lacks to survive its server.

* A task that ends after its connection was lost is acknowledged on a channel whose connection is
  gone; kombu then asks None for its address, and the AttributeError ends the worker.
* A server that was demoted, is full or loads its data answers with an error that says nothing of
  the connection; it is closed, so that the next one leads to whoever has the address by then.
* What lies in a queue and is no message ends the worker that takes it out.
"""

from typing import Any

import redis
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis

from kernel.storage.redis import TcpConnection, TlsConnection
from kernel.storage.shared_values import note_unreadable

SCHEMES = ("redis", "rediss")


class Channel(kombu_redis.Channel):
    """kombu's, whose failures are such that Celery reconnects."""

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
    """For `redis://` and `rediss://`."""

    Channel = Channel


def use_transport() -> None:
    """From now on kombu finds it under the schemes of its own."""
    for scheme in SCHEMES:
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
