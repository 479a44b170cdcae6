"""Celery's broker: whatever becomes of Redis, Celery hears a failure after which it reconnects."""

import pytest
import redis
from kombu import Connection
from kombu.transport.redis import Transport as KombuTransport

from config.broker import Transport, use_transport
from config.celery import app
from kernel.storage.redis import connect
from tests.fixtures.servers.ports import free_port
from tests.fixtures.servers.valkey import valkey_process


@pytest.fixture
def broker():
    use_transport()
    port = free_port()
    with valkey_process(port) as process:
        yield f"redis://127.0.0.1:{port}/0", process


def test_celery_speaks_to_redis_by_our_transport():
    with app.connection_for_write() as connection:
        assert connection.get_transport_cls() is Transport
    assert issubclass(Transport, KombuTransport)
    assert app.conf.broker_channel_error_retry
    assert app.conf.broker_connection_max_retries is None


def test_a_channel_whose_connection_is_gone_says_so(broker):
    url, _ = broker
    connection = Connection(url)
    channel = connection.default_channel
    channel.connection.client = None
    with pytest.raises(connection.connection_errors):
        channel._connparams()


def test_a_message_is_acknowledged_in_vain_after_its_connection_was_lost(broker):
    """As when a task ends after Redis was killed."""
    url, process = broker
    connection = Connection(url)
    queue = connection.SimpleQueue("work")
    queue.put({"a": 1})
    message = queue.get(timeout=20)
    process.kill()
    process.wait()
    channel = message.channel
    channel._disconnect_pools()
    channel.__dict__.pop("client", None)
    channel.connection.client = None
    with pytest.raises(connection.connection_errors):
        message.ack()


@pytest.mark.parametrize("poison", [b"\xff\xfe", b"{", b"7", b'"text"', b"[1]", b"null"])
def test_what_is_no_message_is_left_out_and_the_next_is_taken(broker, poison):
    url, _ = broker
    with Connection(url) as connection, connection.SimpleQueue("work") as queue:
        with connect(url) as client:
            client.lpush("work", poison)
        queue.put({"a": 1})
        assert queue.get(timeout=20).payload == {"a": 1}


def test_a_server_that_takes_no_writes_is_a_failure_of_the_connection(broker):
    url, _ = broker
    with connect(url) as client:
        client.config_set("maxmemory", "1")
    with Connection(url) as connection, pytest.raises(redis.ConnectionError):
        connection.SimpleQueue("work").put({"a": 1}, retry=False)
