"""Devices that stop reading in the middle of a long run: dropped, bounded, felt by nobody else.

A gateway in a process of its own, so that its memory is nobody else's; the limits are those of
production.
"""

import asyncio
import contextlib
import json
import re
import socket as sockets
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed

from agents.doors.websocket.socket import CHECK_INTERVAL_SECONDS, SEND_TIMEOUT_SECONDS
from config.gateway.websocket_protocol import BUFFER_BYTES, CLOSE_TIMEOUT_SECONDS, KERNEL_BYTES
from tests.agents.doors.websocket.test_socket import CREATE, TERMINAL, socket
from tests.fakes.model_server import Behaviour
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.runs import begin_conversation, frames_until, text_of
from tests.fixtures.servers.memory import memory_of
from tests.fixtures.servers.processes import gateway_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.usefixtures("tiny")]

STALLED = 20
TOKENS = 1500
TOKEN_SECONDS = 0.02
WORD = "w" * 2000
"""100 KB a second: what may wait for a device is full after a few seconds."""
RUN_BYTES = TOKENS * len(WORD)
FULL_SECONDS = 10.0
SMALL_WINDOW = 4096
SUBSCRIBE = {"type": "conversation.subscribe", "conversation": "conv_1"}


@asynccontextmanager
async def device(gateway, member):
    """A socket whose client has next to no room of its own for what it does not read."""
    parts = urlsplit(gateway.url)
    connection = sockets.socket()
    connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, SMALL_WINDOW)
    connection.connect((parts.hostname, parts.port))
    how = {"sock": connection, "max_size": None, "max_queue": None, "ping_interval": None}
    async with socket(gateway, member, **how) as client:
        yield client


async def follow(client, seen):
    """Notes each frame and when it came, up to the last of the run."""
    while not seen or seen[-1][1]["type"] not in TERMINAL:
        frame = await client.hear(seconds=30)
        seen.append((time.monotonic(), frame))


async def ping_on(client, seconds):
    """Notes how long each answer takes, until cancelled."""
    while True:
        asked = time.monotonic()
        await client.say({"type": "ping"})
        await client.hear_until("pong")
        seconds.append(time.monotonic() - asked)
        await asyncio.sleep(0.05)


async def open_sockets(gateway, session):
    async with session.get(gateway.url + "/metrics") as answer:
        told = re.search(r"^tenantry_sockets (\S+)$", await answer.text(), re.MULTILINE)
    return int(float(told[1]))


async def until_dropped(gateway, session, *, left):
    """Seconds until only `left` sockets are open."""
    since = time.monotonic()
    async with asyncio.timeout(90):
        while await open_sockets(gateway, session) > left:
            await asyncio.sleep(0.1)
    return time.monotonic() - since


def unsent_bytes(gateway):
    """What the kernel keeps for each client of the gateway (Linux: /proc/net/tcp)."""
    port = f":{urlsplit(gateway.url).port:04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[4].partition(":")[0], 16) for row in rows if row[1].endswith(port)]


async def read_to_the_end(client):
    """The frames that were on their way, and the code with which the socket was closed."""
    frames = []
    client.connection.transport.resume_reading()
    with contextlib.suppress(ConnectionClosed):
        while True:
            frames.append(json.loads(await client.connection.recv()))
    return frames, client.connection.close_code


@dataclass(kw_only=True)
class Seen:
    """What happened while some devices did not read."""

    heads: list = field(default_factory=list)
    """What each device had heard when it stopped."""
    laptop: list = field(default_factory=list)
    pongs: list = field(default_factory=list)
    dropped: float = 0.0
    in_kernel: int = 0
    grown: float = 0.0
    first: tuple = ()
    """What a device gets that reads again at once."""
    later: tuple = ()
    whole: list = field(default_factory=list)
    resumed: list = field(default_factory=list)

    @property
    def gaps(self):
        return [after - before for (before, _), (after, _) in pairwise(self.laptop)]

    def __str__(self):
        return (
            f"dropped after {self.dropped:.1f} s, {self.in_kernel} B in the kernel,"
            f" {self.grown:.1f} MB; gaps {median(self.gaps):.3f} s, p99 {p99(self.gaps):.3f} s;"
            f" pongs {median(self.pongs):.4f} s, p99 {p99(self.pongs):.4f} s"
        )


def p99(values):
    return quantiles(values, n=100)[98]


async def subscribed(stack, holding):
    """A socket that hears of the conversation."""
    client = await stack.enter_async_context(holding)
    await client.say(SUBSCRIBE)
    await client.say({"type": "ping"})
    await client.hear_until("pong")
    return client


async def stall(gateway, session, acme, rival):
    """A long run on a laptop and many phones, of which the phones stop reading."""
    seen = Seen()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        laptop = await subscribed(stack, socket(gateway, acme, max_size=None))
        phones = [await subscribed(stack, device(gateway, acme)) for _ in range(STALLED)]
        other = await stack.enter_async_context(socket(gateway, rival))
        memory = await stack.enter_async_context(memory_of(gateway.process.pid))
        following = tasks.create_task(follow(laptop, seen.laptop))
        pinging = tasks.create_task(ping_on(other, seen.pongs))
        await laptop.say({**CREATE, "conversation": "conv_1"})
        for phone in phones:
            seen.heads.append(await phone.hear_until("response.output_text.delta"))
            phone.connection.transport.pause_reading()
        seen.dropped = await until_dropped(gateway, session, left=2)
        seen.in_kernel, seen.grown = max(unsent_bytes(gateway)), memory.grown
        seen.first = await read_to_the_end(phones[0])
        await asyncio.sleep(CLOSE_TIMEOUT_SECONDS + 1)
        seen.later = await read_to_the_end(phones[1])
        for phone in phones:
            phone.connection.transport.abort()
        await following
        pinging.cancel()
    return seen


async def test_devices_that_stop_reading_are_dropped_and_nobody_else_notices(
    tmp_path, acme, rival, engine
):
    engine.behave(Behaviour(tokens=TOKENS, token_seconds=TOKEN_SECONDS, word=WORD))
    await in_database(begin_conversation, acme)
    with gateway_process(tmp_path) as gateway:
        async with aiohttp.ClientSession() as session:
            seen = await stall(gateway, session, acme, rival)
            whole = await read_whole(gateway, session, acme, seen.heads[0])
        known = seen.heads[0] + seen.first[0]
        resumed = await resume(gateway, acme, known)

    assert (seen.first[1], seen.later[1]) == (1013, 1006)
    assert seen.dropped <= FULL_SECONDS + SEND_TIMEOUT_SECONDS + 2 * CHECK_INTERVAL_SECONDS, seen
    assert seen.in_kernel <= 2 * KERNEL_BYTES, seen
    assert seen.grown * 2**20 <= STALLED * 2 * BUFFER_BYTES + 5 * RUN_BYTES, seen
    assert [frame for _, frame in seen.laptop] == whole == known + resumed
    assert text_of(whole) == " ".join(f"{WORD}{n}" for n in range(TOKENS))
    assert max(p99(seen.gaps), p99(seen.pongs)) <= 0.25, seen
    assert '"level":"error"' not in (tmp_path / "log").read_text()


async def read_whole(gateway, session, member, head):
    """The events of the run, as somebody reads them who was never there."""
    url = f"{gateway.url}/v1/responses/{head[0]['response']['id']}?stream=true"
    async with session.get(url, headers=member.bearer, read_bufsize=2**26) as answer:
        return await frames_until(answer, *TERMINAL)


async def resume(gateway, member, frames):
    """What a device hears that comes back and names the last event that it saw."""
    run_id, last = frames[0]["response"]["id"], frames[-1]["sequence_number"]
    seen = []
    async with socket(gateway, member, max_size=None) as client:
        await client.say({**SUBSCRIBE, "response_id": run_id, "starting_after": last})
        await follow(client, seen)
    return [frame for _, frame in seen]
