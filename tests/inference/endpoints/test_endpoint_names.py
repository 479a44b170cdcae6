"""A host name is resolved at each connection, and forbidden addresses are not connected to."""

import socket
from functools import partial

import pytest

from inference.engines.resolver import EngineResolver
from inference.fleet.snapshot import Endpoint, Pool
from inference.relay.upstream import ConnectFailed, Upstream
from tests.fakes.model_server import ModelServer


@pytest.fixture
def stands_for(monkeypatch):
    """Resolve every name to this address from now on."""

    def tell(*addresses):
        def answer(host, port, *_, **__):
            return [
                (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
                if ":" in address
                else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in addresses
            ]

        monkeypatch.setattr(socket, "getaddrinfo", answer)

    return tell


NEVER = ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "0.0.0.0", "::ffff:169.254.169.254"]


@pytest.mark.parametrize("allow_loopback", [True, False])
@pytest.mark.parametrize("address", NEVER)
async def test_a_name_that_leads_where_no_endpoint_may_be_is_not_resolved(
    stands_for, address, allow_loopback
):
    stands_for("10.0.0.5", address)

    with pytest.raises(OSError, match=r"metadata|not allowed"):
        await EngineResolver(allow_loopback=allow_loopback).resolve("engine.example", 8000)


async def test_a_name_of_this_machine_is_an_engine_in_the_embedded_stack_only(stands_for):
    stands_for("127.0.0.1")

    assert await EngineResolver(allow_loopback=True).resolve("engine.example", 8000)
    with pytest.raises(OSError, match="embedded stack only"):
        await EngineResolver(allow_loopback=False).resolve("engine.example", 8000)


async def test_a_name_in_a_private_network_is(stands_for):
    stands_for("10.0.0.5", "fd12::5")

    found = await EngineResolver(allow_loopback=False).resolve("engine.example", 8000)

    assert [each["host"] for each in found] == ["10.0.0.5", "fd12::5"]


@pytest.mark.parametrize("allow_loopback", [True, False])
async def test_a_request_goes_by_it(stands_for, allow_loopback):
    async with ModelServer() as server:
        stands_for("127.0.0.1")
        address = f"http://engine.example:{server._port}"
        endpoint = Endpoint(id="e", address=address, model="tiny")
        pool = Pool(name="p", engine="vllm", endpoints=(endpoint,))
        resolver = partial(EngineResolver, allow_loopback=allow_loopback)
        upstream = Upstream(connections=1, resolver=resolver)
        await upstream.open()
        try:
            path = "/v1/chat/completions"
            body = b'{"model":"tiny","messages":[]}'
            answer = await upstream.post(endpoint, path, body, pool=pool)
            await answer.read()
            assert answer.status == 200
            answer.release()
        except ConnectFailed:
            assert not allow_loopback
        finally:
            await upstream.close()

    assert len(server.records) == int(allow_loopback)
