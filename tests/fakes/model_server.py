"""A real OpenAI-compatible server: slow, wrong, truncated or dead on request; counts what it sends.

In a test:       async with ModelServer(behaviour=Behaviour(tokens=3)) as server: … server.url …
Beside a test:   with in_thread(ModelServer()) as server: …
As a process:    python tests/fakes/model_server.py --port 8090
"""

import argparse
import asyncio
import json
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from aiohttp import web

if __name__ == "__main__":
    # A script's own folder is on the path, the checkout is not.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fakes import wire
from tests.fakes.answering import Writer, answer
from tests.fakes.behaviour import Behaviour, Fault, UsageForm, wished
from tests.fakes.record import Outcome, Record, Records

__all__ = ["Behaviour", "Fault", "ModelServer", "Outcome", "Record", "UsageForm", "in_thread"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OPEN_PATHS = ("/health", "/metrics", "/__")
"""Not guarded by the API key, as in vLLM."""


class ModelServer:
    """Serves `models` on a loopback port while it is entered."""

    def __init__(
        self,
        *,
        behaviour: Behaviour | None = None,
        models: tuple[str, ...] = ("tiny",),
        api_key: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.models = models
        self.records = Records()
        self.is_healthy = True
        self._behaviours = [behaviour or Behaviour()]
        self._api_key = api_key
        self._host = host
        self._port = port
        self._runner = web.AppRunner(
            self._application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=4096)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Without a path: `{url}/v1/chat/completions` is the door."""
        return f"http://{self._host}:{self._port}"

    @property
    def address(self) -> str:
        return f"{self._host}:{self._port}"

    @property
    def behaviour(self) -> Behaviour:
        """The one for the next request."""
        return self._behaviours[0]

    def behave(self, *behaviours: Behaviour) -> None:
        """Answer the next requests with one each; the last one stays. Safe from another thread."""
        self._behaviours = list(behaviours)

    async def idle(self, *, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - reads as a promise
        """Return when no request is being worked on. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while self.records.working:
                await asyncio.sleep(0.005)

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._authenticate], client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._completion)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/__records", self._show_records)
        app.router.add_post("/__behaviour", self._set_behaviour)
        return app

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("authorization", "")
        is_open = request.path.startswith(OPEN_PATHS)
        if self._api_key and not is_open and given != f"Bearer {self._api_key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        return await handler(request)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._generate(request, chat=True)

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        return await self._generate(request, chat=False)

    async def _generate(self, request: web.Request, *, chat: bool) -> web.StreamResponse:
        record = await self._open(request)
        if not isinstance(record.body, dict):
            return self._refuse(record, "The body is not a JSON object.")
        behaviour = wished(self._next_behaviour(), wire.prompt_of(record.body))
        planned = wire.plan(record.body, behaviour=behaviour, number=record.number, chat=chat)
        if planned.model not in self.models:
            return self._refuse(record, f"The model `{planned.model}` does not exist.", status=404)
        if behaviour.wants_outputs and wire.has_open_calls(record.body):
            return self._refuse(record, "Tool calls must be followed by tool messages.")
        record.prompt_tokens = planned.prompt_tokens
        writer = Writer(request, behaviour, record)
        try:
            await answer(writer, planned, stream=bool(record.body.get("stream")))
        except (asyncio.CancelledError, ConnectionError):
            record.end(Outcome.ABORTED)
            raise
        return writer.response

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        record = await self._open(request)
        if not isinstance(record.body, dict) or record.body.get("model") not in self.models:
            return self._refuse(record, "The model does not exist.", status=404)
        answered = wire.embeddings(record.body)
        record.prompt_tokens = answered["usage"]["prompt_tokens"]
        record.usage_written = answered["usage"]
        record.status = 200
        record.end(Outcome.FINISHED)
        return web.json_response(text=wire.dump(answered))

    async def _open(self, request: web.Request) -> Record:
        raw = await request.text()
        try:
            body = json.loads(raw)
        except ValueError:
            body = raw
        headers = {name.lower(): value for name, value in request.headers.items()}
        return self.records.open(path=request.path, headers=headers, body=body)

    def _next_behaviour(self) -> Behaviour:
        return self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]

    def _refuse(self, record: Record, message: str, *, status: int = 400) -> web.Response:
        record.status = status
        record.end(Outcome.FINISHED)
        error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
        return web.json_response({"error": error}, status=status)

    async def _models(self, _: web.Request) -> web.Response:
        data = [{"id": name, "object": "model", "owned_by": "vllm"} for name in self.models]
        return web.json_response({"object": "list", "data": data})

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(status=200 if self.is_healthy else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        text = wire.metrics(
            model=self.models[0],
            running=len(self.records.working),
            prompt_tokens=sum(record.prompt_tokens for record in self.records),
            tokens=sum(record.tokens_produced for record in self.records),
        )
        return web.Response(text=text)

    async def _show_records(self, _: web.Request) -> web.Response:
        return web.json_response([record.as_json() for record in self.records])

    async def _set_behaviour(self, request: web.Request) -> web.Response:
        """One object, or a list of them; `{}` is the normal behaviour."""
        given: Any = await request.json()
        wishes = given if isinstance(given, list) else [given]
        try:
            self.behave(*(Behaviour().with_fields(context) for context in wishes))
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response([behaviour.as_json() for behaviour in self._behaviours])


@contextmanager
def in_thread(server: ModelServer) -> Iterator[ModelServer]:
    """Serve on a thread with an event loop of its own, for tests without one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="model-server", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
        yield server
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def serve(server: ModelServer) -> None:
    async with server:
        print(f"serving {', '.join(server.models)} at {server.url}", flush=True)  # noqa: T201
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--model", action="append", help="a model's name; may be repeated")
    parser.add_argument("--tokens", type=int, default=Behaviour().tokens)
    parser.add_argument("--token-seconds", type=float, default=0.0)
    parser.add_argument("--api-key", default="")
    given = parser.parse_args()
    behaviour = Behaviour(tokens=given.tokens, token_seconds=given.token_seconds)
    models = tuple(given.model or ["tiny"])
    server = ModelServer(
        behaviour=behaviour,
        models=models,
        api_key=given.api_key,
        host=given.host,
        port=given.port,
    )
    try:
        asyncio.run(serve(server))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
