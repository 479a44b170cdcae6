"""The engine of the benchmark: answers at once with bytes made beforehand, or streams at a pace.

A bare protocol and one clock for all streams, because it shares its core with the load.
"""

import argparse
import asyncio
import json
import re
from typing import Any

import uvloop

TOKENS = 250
TOKEN_SECONDS = 0.02
PHASES = 10
"""Streams are spread over so many beats of one token's time, as those of real engines are."""

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
STREAM = re.compile(rb'"stream": *true')
TOKEN_LIMIT = re.compile(rb'"max_(?:completion_)?tokens": *(\d+)')

USAGE = {"prompt_tokens": 9, "total_tokens": 25, "completion_tokens": 16}
HEAD = {"id": "chatcmpl-bench", "created": 1_700_000_000, "model": "bench"}
COMPLETE = {
    **HEAD,
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hello " * 16, "tool_calls": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
}


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


def event(body: bytes) -> bytes:
    """One server-sent event as one chunk of HTTP."""
    line = b"data: %s\n\n" % body
    return b"%x\r\n%s\r\n" % (len(line), line)


def token(made: int) -> bytes:
    # Each token differs: LiteLLM breaks a stream off that repeats itself a hundred times.
    said = {"content": f" tok{made}"}
    choice = {"index": 0, "delta": said, "logprobs": None, "finish_reason": None}
    usage = {"prompt_tokens": 9, "total_tokens": 9 + made, "completion_tokens": made}
    kind = "chat.completion.chunk"
    return event(dump({**HEAD, "object": kind, "choices": [choice], "usage": usage}))


def ending(made: int) -> bytes:
    usage = {"prompt_tokens": 9, "total_tokens": 9 + made, "completion_tokens": made}
    last = {**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": usage}
    stop = {"index": 0, "delta": {"content": ""}, "logprobs": None, "finish_reason": "stop"}
    return b"".join(
        (event(dump({**last, "choices": [stop]})), event(dump(last)), event(b"[DONE]"), LAST_CHUNK)
    )


LAST_CHUNK = b"0\r\n\r\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
ANSWER = response(dump(COMPLETE))
MODELS = response(dump({"object": "list", "data": [{"id": "bench", "object": "model"}]}))
EMPTY = response(b"{}")
TOKEN_EVENTS = [token(made) for made in range(1, TOKENS + 1)]


class Clock:
    """Sends every stream its next token each TOKEN_SECONDS."""

    def __init__(self) -> None:
        self._phases: list[dict[Connection, int]] = [{} for _ in range(PHASES)]
        self._turn = 0

    def add(self, connection: "Connection") -> None:
        self._turn = (self._turn + 1) % PHASES
        self._phases[self._turn][connection] = 0

    def remove(self, connection: "Connection") -> None:
        for phase in self._phases:
            phase.pop(connection, None)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        beat, due = 0, loop.time()
        while True:
            self.advance(self._phases[beat % PHASES])
            beat, due = beat + 1, due + TOKEN_SECONDS / PHASES
            await asyncio.sleep(max(0.0, due - loop.time()))

    def advance(self, phase: "dict[Connection, int]") -> None:
        for connection, made in list(phase.items()):
            if made < connection.tokens:
                connection.transport.write(TOKEN_EVENTS[made])
                phase[connection] = made + 1
            else:
                connection.transport.write(ending(made))
                del phase[connection]


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection; requests one after the other."""

    transport: Any
    """uvloop's is an asyncio.Transport in all but its base class."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._received = b""
        self.tokens = TOKENS

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._clock.remove(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            found = LENGTH.search(head)
            length = int(found[1]) if found else 0
            if not end or len(rest) < length:
                return
            self._received = rest[length:]
            self._answer(head, rest[:length])

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            self.transport.write(MODELS if b"/v1/models" in head else EMPTY)
        elif STREAM.search(body):
            limit = TOKEN_LIMIT.search(body)
            self.tokens = min(TOKENS, int(limit[1])) if limit else TOKENS
            if self.tokens == 1:
                # Nothing to pace: this one asks how long the first token is on the way.
                self.transport.write(STREAM_HEAD + TOKEN_EVENTS[0] + ending(1))
                return
            self.transport.write(STREAM_HEAD)
            self._clock.add(self)
        else:
            self.transport.write(ANSWER)


async def serve(port: int) -> None:
    clock = Clock()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(clock), "127.0.0.1", port, backlog=4096)
    async with server:
        await clock.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
