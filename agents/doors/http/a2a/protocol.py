"""Passes requests to the dispatchers of the A2A SDK, and sends their responses.

The only module of the door that is imported lazily: it and what it imports need the SDK.
"""

import hashlib
import json
from collections.abc import Awaitable
from typing import Any

from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.server.routes.rest_dispatcher import RestDispatcher
from google.protobuf.json_format import MessageToDict
from sse_starlette.event import ensure_bytes
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from agents.doors.base.call import Call
from agents.doors.base.event_sink import EventSink
from agents.doors.http.a2a.card import card_of
from agents.doors.http.a2a.ports import A2aCaller
from agents.doors.http.a2a.request_handler import RunRequestHandler
from agents.runtime.catalog.agents import PublishedAgent
from kernel.asgi import JSON_TYPE, ClientWatch, Message, header

CARD_SECONDS = 60
NOT_MODIFIED = 304


async def respond_with_card(call: Call, agent: PublishedAgent) -> None:
    """Respond with the agent card, or 304 if the client has it."""
    named = call.scope["url_route"]["kwargs"]
    url = f"{call.gateway.public_url.rstrip('/')}/a2a/{named['tenant']}/{named['agent']}"
    body = json.dumps(MessageToDict(card_of(agent, url=url))).encode()
    tag = b'"%b"' % hashlib.sha256(body).hexdigest()[:32].encode()
    headers = [(b"cache-control", b"public, max-age=%d" % CARD_SECONDS), (b"etag", tag)]
    if tag in (header(call.scope, b"if-none-match") or b""):
        await call.respond(b"", status=NOT_MODIFIED, headers=headers)
        return
    await call.respond(body, headers=[JSON_TYPE, *headers])


async def respond_to_rpc(call: Call, caller: A2aCaller, body: bytes) -> None:
    """Answer a request of the JSON-RPC binding. Raises the errors that A2A does not have."""
    handler = RunRequestHandler(call, call.gateway, caller)
    dispatcher = JsonRpcDispatcher(handler)
    await send(call, handler, dispatcher.handle_requests(request_of(call, body)))


async def respond_to_rest(call: Call, caller: A2aCaller, body: bytes, operation: str) -> None:
    """Answer an operation of the HTTP+JSON binding. Raises the errors that A2A does not have."""
    handler = RunRequestHandler(call, call.gateway, caller)
    dispatcher = RestDispatcher(handler)
    await send(call, handler, getattr(dispatcher, operation)(request_of(call, body)))


def request_of(call: Call, body: bytes) -> Request:
    """Return the request as the SDK reads it: with the parameters of the path, and no `tenant`.

    A path of A2A may have a tenant of its own; ours was checked before.
    """
    named = call.scope["url_route"]["kwargs"]
    path = {name: value for name, value in named.items() if name in {"id", "push_id"}}

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({**call.scope, "path_params": path}, receive)


async def send(call: Call, handler: RunRequestHandler, answer: Awaitable[Any]) -> None:
    """Send the SDK's response. A stream has keep-alive comments, as all streams here."""
    client = ClientWatch(call.receive)
    async with client:
        response: Response = await answer
        if handler.refusal is not None:
            raise handler.refusal
        if isinstance(response, EventSourceResponse):
            await send_stream(call, client, response)
            return
        client.dismiss()
        media_type = response.headers["content-type"].encode()
        await call.respond(
            bytes(response.body),
            status=response.status_code,
            headers=[(b"content-type", media_type)],
        )


async def send_stream(call: Call, client: ClientWatch, response: EventSourceResponse) -> None:
    """Send the events one by one. Errors after the first one are events, too."""
    sink = EventSink(call, client=client)
    async with sink:
        async for piece in response.body_iterator:
            await sink.send(ensure_bytes(piece, "\n"))
        await sink.end()
