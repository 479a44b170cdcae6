"""The gateway's addresses: Channels' routers in front of plain ASGI callables."""

from collections.abc import Callable
from typing import cast

from channels.routing import ProtocolTypeRouter, URLRouter
from django.http import HttpResponseBase
from django.urls import URLPattern, re_path

from agents.doors.chat_completions import NAME as CHAT
from agents.doors.chat_completions import chat_completions
from agents.doors.door import Door, Handler, UnknownAddress
from agents.doors.embeddings import NAME as EMBEDDINGS
from agents.doors.embeddings import embeddings
from agents.doors.models import list_models, show_model
from agents.doors.responses import NAME as RESPONSES
from agents.doors.responses import CreateResponse
from agents.doors.socket import ResponsesSocket
from agents.doors.socket_tickets import issue_socket_ticket
from agents.doors.stored_responses import StoredResponses
from agents.doors.usage import show_usage
from config.gateway_health import GatewayHealth
from config.lifespan import Lifespan
from config.worker import Worker
from kernel.asgi import Application, Receive, Scope, Send


def route(worker: Worker) -> ProtocolTypeRouter:
    """The whole gateway as one ASGI application."""
    return ProtocolTypeRouter(
        {
            "http": worker.departure.announced(URLRouter(http_routes(worker))),
            "websocket": URLRouter(socket_routes(worker)),
            "lifespan": Lifespan(worker),
        }
    )


def at(address: str, application: Application) -> URLPattern:
    """`address` as a regular expression without slash in front, as Channels routes it."""
    # Django's types know views only; Channels calls whatever stands here as an application.
    return re_path(address, cast("Callable[..., HttpResponseBase]", application))


def http_routes(worker: Worker) -> list[URLPattern]:
    gateway = worker.gateway
    health = GatewayHealth(worker)
    stored = StoredResponses(worker.runner)

    def door(name: str, **handlers: Handler) -> Door:
        return Door(name, gateway, handlers)

    return [
        at(r"^v1/chat/completions\Z", door(CHAT, POST=chat_completions)),
        at(r"^v1/embeddings\Z", door(EMBEDDINGS, POST=embeddings)),
        at(r"^v1/models\Z", door("models", GET=list_models)),
        at(r"^v1/models/.+\Z", door("models", GET=show_model)),
        at(r"^v1/responses\Z", door(RESPONSES, POST=CreateResponse(worker.runner))),
        at(r"^v1/responses/[^/]+\Z", door(RESPONSES, GET=stored.show, DELETE=stored.delete)),
        at(r"^v1/responses/[^/]+/cancel\Z", door(RESPONSES, POST=stored.cancel)),
        at(r"^v1/responses/[^/]+/input_items\Z", door(RESPONSES, GET=stored.list_input)),
        at(r"^v1/socket-tickets\Z", door("socket_tickets", POST=issue_socket_ticket)),
        at(r"^v1/usage\Z", door("usage", GET=show_usage)),
        at(r"^(?:healthz|health)\Z", door("health", GET=health.alive)),
        at(r"^(?:readyz|ready)\Z", door("ready", GET=health.ready)),
        at(r"^metrics\Z", door("metrics", GET=health.metrics)),
        at(r"", UnknownAddress(gateway)),
    ]


def socket_routes(worker: Worker) -> list[URLPattern]:
    return [
        at(
            r"^ws/v1/responses\Z",
            ResponsesSocket.as_asgi(gateway=worker.gateway, runs=worker.runner),
        ),
        at(r"", refuse_socket),
    ]


async def refuse_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """No socket lives here: refused before it is accepted, which clients see as HTTP 403."""
    await send({"type": "websocket.close"})
