"""The URLs of the gateway: Channels' routers in front of ASGI callables."""

from collections.abc import Callable
from typing import cast

from channels.routing import URLRouter
from django.http import HttpResponseBase
from django.urls import URLPattern, re_path

from agents.doors.base.cross_origin import CrossOrigin
from agents.doors.base.door import Door, Handler, OperationsDoor, UnknownAddress
from agents.doors.base.gateway import Gateway
from agents.doors.http import conversations
from agents.doors.http.a2a import handlers as a2a
from agents.doors.http.approvals import resolve_approval
from agents.doors.http.chat import NAME as SIMPLE_CHAT
from agents.doors.http.chat import chat
from agents.doors.http.chat_completions import NAME as CHAT
from agents.doors.http.chat_completions import chat_completions
from agents.doors.http.embeddings import NAME as EMBEDDINGS
from agents.doors.http.embeddings import embeddings
from agents.doors.http.mcp.handlers import serve_mcp, serve_mcp_of_agent
from agents.doors.http.mcp.offers import NAME as MCP
from agents.doors.http.messages import handlers as messages
from agents.doors.http.messages.body import NAME as MESSAGES
from agents.doors.http.models import list_models, show_model
from agents.doors.http.responses import NAME as RESPONSES
from agents.doors.http.responses import create_response
from agents.doors.http.socket_tickets import issue_socket_ticket
from agents.doors.http.stored_responses import (
    cancel_response,
    delete_response,
    list_input_items,
    show_response,
)
from agents.doors.http.tasks import handlers as tasks
from agents.doors.http.tasks.body import NAME as TASKS
from agents.doors.http.usage import show_usage
from agents.doors.websocket.socket import ResponsesSocket
from config.gateway.health import GatewayHealth
from kernel.asgi import Application, refuse_socket


def http_application(gateway: Gateway, health: GatewayHealth) -> CrossOrigin:
    """Return the application for all HTTP URLs of the gateway."""
    return CrossOrigin(URLRouter(http_routes(gateway, health)), gateway)


def socket_application(gateway: Gateway) -> URLRouter:
    """Return the application for all WebSocket URLs of the gateway."""
    return URLRouter(socket_routes(gateway))


def at(address: str, application: Application) -> URLPattern:
    """Return a route for `address`, a regular expression without a slash at its beginning.

    A slash at the end is accepted: clients join URLs in both ways, and a redirect would lose the
    body.
    """
    address = address.replace(r"\Z", r"/?\Z")
    # Django's types allow views only; Channels calls the value as an ASGI application.
    return re_path(address, cast("Callable[..., HttpResponseBase]", application))


def http_routes(gateway: Gateway, health: GatewayHealth) -> list[URLPattern]:
    def door(name: str, **handlers: Handler) -> Door:
        return Door(name, gateway, handlers)

    return [
        *a2a_routes(door),
        at(r"^v1/chat/completions\Z", door(CHAT, POST=chat_completions)),
        at(r"^v1/chat\Z", door(SIMPLE_CHAT, POST=chat)),
        *conversation_routes(door),
        at(r"^v1/embeddings\Z", door(EMBEDDINGS, POST=embeddings)),
        at(r"^v1/models\Z", door("models", GET=list_models)),
        at(r"^v1/models/.+\Z", door("models", GET=show_model)),
        at(r"^v1/responses\Z", door(RESPONSES, POST=create_response)),
        # Endpoints of OpenAI that do not exist here, and that must not be read as ids.
        at(r"^v1/responses/(?:compact|input_tokens)\Z", UnknownAddress(gateway)),
        at(
            r"^v1/responses/[^/\x00]+\Z", door(RESPONSES, GET=show_response, DELETE=delete_response)
        ),
        at(r"^v1/responses/[^/\x00]+/cancel\Z", door(RESPONSES, POST=cancel_response)),
        at(
            r"^v1/responses/[^/\x00]+/approvals/[^/\x00]+\Z", door(RESPONSES, POST=resolve_approval)
        ),
        at(r"^v1/responses/[^/\x00]+/input_items\Z", door(RESPONSES, GET=list_input_items)),
        at(r"^v1/socket-tickets\Z", door("socket_tickets", POST=issue_socket_ticket)),
        *task_routes(door),
        *message_routes(door),
        at(r"^v1/usage\Z", door("usage", GET=show_usage)),
        at(r"^mcp\Z", door(MCP, POST=serve_mcp)),
        at(r"^mcp/(?P<agent>[^/\x00]+)\Z", door(MCP, POST=serve_mcp_of_agent)),
        *health_routes(gateway, health),
    ]


def health_routes(gateway: Gateway, health: GatewayHealth) -> list[URLPattern]:
    """Return the URLs for operators, and the answer to all other URLs."""
    return [
        at(r"^(?:healthz|health)\Z", OperationsDoor("health", gateway, {"GET": health.alive})),
        at(r"^(?:readyz|ready)\Z", OperationsDoor("ready", gateway, {"GET": health.ready})),
        at(r"^metrics\Z", OperationsDoor("metrics", gateway, {"GET": health.metrics})),
        at(r"", UnknownAddress(gateway)),
    ]


def conversation_routes(door: Callable[..., Door]) -> list[URLPattern]:
    name = "conversations"
    one = r"^v1/conversations/(?P<conversation>[^/\x00]+)"
    all_items = door(name, GET=conversations.list_items, POST=conversations.add_items)
    one_item = door(name, GET=conversations.show_item, DELETE=conversations.delete_item)
    return [
        at(
            r"^v1/conversations\Z",
            door(
                name,
                GET=conversations.list_conversations,
                POST=conversations.create_conversation,
            ),
        ),
        at(
            rf"{one}\Z",
            door(
                name,
                GET=conversations.show_conversation,
                POST=conversations.change_conversation,
                DELETE=conversations.erase_conversation,
            ),
        ),
        at(rf"{one}/items\Z", all_items),
        at(rf"{one}/items/(?P<item>[^/\x00]+)\Z", one_item),
    ]


def task_routes(door: Callable[..., Door]) -> list[URLPattern]:
    one = r"^v1/tasks/(?P<task>[^/\x00]+)"
    return [
        at(r"^v1/tasks\Z", door(TASKS, GET=tasks.list_tasks, POST=tasks.create_task)),
        at(rf"{one}\Z", door(TASKS, GET=tasks.show_task, DELETE=tasks.cancel_task)),
        at(rf"{one}/events\Z", door(TASKS, GET=tasks.stream_task)),
    ]


def message_routes(door: Callable[..., Door]) -> list[URLPattern]:
    return [
        at(
            r"^v1/agents/(?P<agent>[^/\x00]+)/messages\Z",
            door(MESSAGES, POST=messages.send_message),
        ),
        at(
            r"^v1/topics/(?P<topic>[^/\x00]+)/messages\Z",
            door(MESSAGES, POST=messages.publish_message),
        ),
        at(r"^v1/messages/(?P<message>[^/\x00]+)\Z", door(MESSAGES, GET=messages.show_message)),
    ]


def a2a_routes(door: Callable[..., Door]) -> list[URLPattern]:
    """Return the URLs of agents as A2A servers: the card, JSON-RPC, and HTTP+JSON."""
    agent = r"^a2a/(?P<tenant>[^/\x00]+)/(?P<agent>[^/\x00]+)"
    task = rf"{agent}/tasks/(?P<id>[^/:\x00]+)"
    configs = rf"{task}/pushNotificationConfigs"

    def rest(**operations: str) -> Door:
        return door(a2a.NAME, **{name: a2a.answer_rest(each) for name, each in operations.items()})

    return [
        at(rf"{agent}\Z", door(a2a.NAME, POST=a2a.answer_rpc)),
        at(rf"{agent}/\.well-known/agent-card\.json\Z", door(a2a.NAME, GET=a2a.show_card)),
        at(rf"{agent}/message:send\Z", rest(POST="on_message_send")),
        at(rf"{agent}/message:stream\Z", rest(POST="on_message_send_stream")),
        at(rf"{agent}/tasks\Z", rest(GET="list_tasks")),
        at(rf"{task}\Z", rest(GET="on_get_task")),
        at(rf"{task}:cancel\Z", rest(POST="on_cancel_task")),
        at(rf"{task}:subscribe\Z", rest(GET="on_subscribe_to_task", POST="on_subscribe_to_task")),
        at(rf"{configs}\Z", rest(GET="list_push_notifications", POST="set_push_notification")),
        at(
            rf"{configs}/(?P<push_id>[^/\x00]+)\Z",
            rest(GET="get_push_notification", DELETE="delete_push_notification"),
        ),
        at(rf"{agent}/extendedAgentCard\Z", rest(GET="handle_authenticated_agent_card")),
    ]


def socket_routes(gateway: Gateway) -> list[URLPattern]:
    return [
        at(r"^(?:ws/)?v1/responses\Z", ResponsesSocket.as_asgi(gateway=gateway)),
        at(r"", refuse_socket),
    ]
