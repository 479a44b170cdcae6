"""A Redis that answers but cannot serve is as good as away, and its connection is closed."""

import asyncio
import socketserver
import threading
from contextlib import contextmanager

import pytest
import redis

from kernel.storage.redis import NotServing, connect, connect_async
from tests.fakes.redis_gate import redis_gate
from tests.fixtures.servers.ports import free_port
from tests.fixtures.servers.valkey import valkey_process

REFUSALS = {
    "demoted": "READONLY You can't write against a read only replica.",
    "starts": "LOADING Valkey is loading the dataset in memory",
    "no master": "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "no cluster": "CLUSTERDOWN The cluster is down",
    "full": "OOM command not allowed when used memory > 'maxmemory'.",
    "no disk": "MISCONF Valkey is configured to save RDB snapshots, but it's unable to persist",
    "too few replicas": "NOREPLICAS Not enough good replicas to write.",
    "a script that never ends": "BUSY Valkey is busy running a script.",
    "no password": "NOAUTH Authentication required.",
    "no permission": "NOPERM User default has no permissions to run the 'set' command",
    "demoted while blocked": "UNBLOCKED force unblock from blocking operation",
}
OUR_FAULTS = {
    "wrong type": "WRONGTYPE Operation against a key holding the wrong kind of value",
    "wrong id": "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    "unknown script": "NOSCRIPT No matching script.",
}


class Refusing(socketserver.StreamRequestHandler):
    """Says OK to the handshake, and to everything else what the server was made for."""

    def handle(self):
        self.server.connections += 1
        while line := self.rfile.readline():
            words = [self.rfile.readline() and self.rfile.readline() for _ in range(int(line[1:]))]
            known = words[0].strip().upper() in {b"CLIENT", b"HELLO", b"SELECT"}
            self.wfile.write(b"+OK\r\n" if known else b"-" + self.server.refusal + b"\r\n")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    connections = 0


@contextmanager
def refusing(text):
    with Server(("127.0.0.1", 0), Refusing) as server:
        server.refusal = text.encode()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server, f"redis://127.0.0.1:{server.server_address[1]}/0?protocol=2"
        finally:
            server.shutdown()


@pytest.mark.parametrize("why", REFUSALS)
def test_a_server_that_does_not_serve_loses_its_connection(why):
    with refusing(REFUSALS[why]) as (server, url), connect(url) as client:
        for _ in range(3):
            with pytest.raises(redis.ConnectionError):
                client.set("a", "b")
        with pytest.raises(redis.ConnectionError):
            client.pipeline(transaction=False).set("a", 1).set("b", 2).execute(raise_on_error=False)
        assert server.connections == 4


@pytest.mark.parametrize("why", REFUSALS)
async def test_the_same_in_an_event_loop(why):
    with refusing(REFUSALS[why]) as (server, url):
        async with connect_async(url) as client:
            for _ in range(3):
                with pytest.raises(redis.ConnectionError):
                    await client.set("a", "b")
            pipe = client.pipeline(transaction=False).set("a", 1).set("b", 2)
            with pytest.raises(redis.ConnectionError):
                await pipe.execute(raise_on_error=False)
        assert server.connections == 4


@pytest.mark.parametrize("why", OUR_FAULTS)
def test_what_is_wrong_with_a_command_leaves_the_connection_as_it_is(why):
    with refusing(OUR_FAULTS[why]) as (server, url), connect(url) as client:
        for _ in range(3):
            with pytest.raises(redis.ResponseError) as caught:
                client.set("a", "b")
            assert not isinstance(caught.value, NotServing)
        assert server.connections == 1


async def test_after_a_failover_behind_one_address_the_new_server_is_used():
    old, new = free_port(), free_port()
    with valkey_process(old), valkey_process(new):
        async with redis_gate(f"redis://127.0.0.1:{old}/0") as gate:
            async with connect_async(gate.url) as client:
                await client.set("a", "old")
                gate.upstream = f"redis://127.0.0.1:{new}/0"
                with connect(f"redis://127.0.0.1:{old}/0") as demoted:
                    await asyncio.to_thread(demoted.replicaof, "127.0.0.1", str(new))
                with pytest.raises(NotServing):
                    await client.set("a", "new")
                await client.set("a", "new")
            with connect(f"redis://127.0.0.1:{new}/0") as there:
                assert there.get("a") == b"new"
