"""What an idle socket costs a worker: authenticated, subscribed to nothing, saying nothing."""

import asyncio
import json
from contextlib import AsyncExitStack

from websockets.asyncio.client import connect

from tests.load import load
from tests.load.report import Figure

WARM_UP = 100
AT_ONCE = 50
SETTLE_SECONDS = 5.0
"""In which each socket's key has been checked a few times."""


async def hold(stack, target):
    """An open socket, known to be authenticated."""
    url = f"ws://{load.HOST}:{target.port}/ws/v1/responses"
    connecting = connect(url, additional_headers=target.headers, open_timeout=30)
    socket = await stack.enter_async_context(connecting)
    await socket.send(json.dumps({"type": "ping"}))
    assert json.loads(await socket.recv()) == {"type": "pong"}


async def hold_many(stack, target, sockets):
    for start in range(0, sockets, AT_ONCE):
        some = range(start, min(start + AT_ONCE, sockets))
        await asyncio.gather(*(hold(stack, target) for _ in some))


async def measure_idle_sockets(target, server, *, sockets):
    """KB that each of so many idle sockets takes, and the share of a core that all of them take."""
    async with AsyncExitStack() as ensure_seeded:
        await hold_many(ensure_seeded, target, WARM_UP)
    await asyncio.sleep(SETTLE_SECONDS)
    before = server.own_kb()
    async with AsyncExitStack() as held:
        await hold_many(held, target, sockets)
        await asyncio.sleep(SETTLE_SECONDS)
        each, cpu = (server.own_kb() - before) / sockets, server.cpu_seconds()
        await asyncio.sleep(SETTLE_SECONDS)
        cpu = (server.cpu_seconds() - cpu) / SETTLE_SECONDS
    return [
        Figure(name=f"{sockets} idle sockets, each", measured=each, unit="KB", at_most=40),
        Figure(name="the same, CPU of the worker", measured=100 * cpu, unit="%"),
    ]
