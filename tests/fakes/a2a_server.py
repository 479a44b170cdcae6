"""An A2A server of others, made with the official SDK: does what the message says."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    Part,
    Task,
    TaskState,
    TaskStatus,
)
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse

CARD = "/.well-known/agent-card.json"


@dataclass
class RemoteA2a:
    """The server, and what it has seen. `card` is served as it is when a request comes."""

    port: int = 0
    card: AgentCard = field(default_factory=AgentCard)
    seen: list = field(default_factory=list)
    """The headers of each request, by lower-case name."""
    cancelled: list = field(default_factory=list)
    refuses: bool = False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def card_url(self):
        return self.url + CARD

    def claim(self, *interfaces):
        """Let the card say that the agent is there; by default where it is."""
        interfaces = interfaces or ((self.url, "JSONRPC"), (self.url, "HTTP+JSON"))
        del self.card.supported_interfaces[:]
        self.card.supported_interfaces.extend(
            AgentInterface(url=url, protocol_binding=binding, protocol_version="1.0")
            for url, binding in interfaces
        )


class Obedient(AgentExecutor):
    """Answers `echo: …`, fails, waits for input or takes for ever, as the message says."""

    def __init__(self, server: RemoteA2a) -> None:
        self._server = server

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        text = context.get_user_input()
        await event_queue.enqueue_event(
            Task(
                id=context.task_id,
                context_id=context.context_id,
                status=TaskStatus(state=TaskState.TASK_STATE_SUBMITTED),
                history=[context.message],
            )
        )
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.start_work()
        said = updater.new_agent_message([Part(text=f"about {text}")])
        if "fail" in text:
            await updater.failed(said)
        elif "ask" in text:
            await updater.requires_input(said)
        elif "hang" in text:
            await asyncio.sleep(600)
        else:
            await updater.add_artifact([Part(text=f"echo: {text}")])
            await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        self._server.cancelled.append(context.task_id)
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.cancel()


def application_of(server: RemoteA2a):
    handler = DefaultRequestHandler(Obedient(server), InMemoryTaskStore(), server.card)
    inner = Starlette(
        routes=[
            *create_agent_card_routes(server.card),
            *create_jsonrpc_routes(handler, "/"),
            *create_rest_routes(handler),
        ]
    )

    async def observed(scope, receive, send):
        if scope["type"] == "http":
            server.seen.append({k.decode(): v.decode() for k, v in scope["headers"]})
            if server.refuses and scope["path"] != CARD:
                await PlainTextResponse("no", status_code=403)(scope, receive, send)
                return
        await inner(scope, receive, send)

    return observed


@contextmanager
def remote_a2a() -> Iterator[RemoteA2a]:
    """A server on a thread of its own."""
    server = RemoteA2a()
    server.card.CopyFrom(
        AgentCard(
            name="Partner",
            description="Does what it is told.",
            version="3",
            capabilities=AgentCapabilities(streaming=True),
            default_input_modes=["text/plain"],
            default_output_modes=["text/plain"],
            skills=[AgentSkill(id="echo", name="Echo", description="Echoes.", tags=["echo"])],
        )
    )
    config = uvicorn.Config(
        application_of(server), port=0, log_config=None, lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    running = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(running._serve()), name="a2a")
    thread.start()
    try:
        while not running.started:
            assert thread.is_alive(), "the server did not start"
            threading.Event().wait(0.01)
        server.port = running.servers[0].sockets[0].getsockname()[1]
        server.claim()
        yield server
    finally:
        running.should_exit = True
        thread.join(timeout=20)
