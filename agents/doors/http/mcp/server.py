"""Serves MCP with the official library. Nothing else of the doors imports the library."""

import asyncio
import base64
import binascii
import logging
from collections.abc import Mapping

from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import (
    INVALID_PARAMS,
    AudioContent,
    CallToolRequestParams,
    CallToolResult,
    ContentBlock,
    ImageContent,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

from agents.doors.base.call import Call
from agents.doors.base.door import scope_kind
from agents.doors.http.mcp.agent_calls import call_agent
from agents.doors.http.mcp.offers import Offer
from agents.doors.http.mcp.outcome import CallOutcome
from agents.doors.http.mcp.tool_calls import call_tool
from agents.runtime.loop.tool_arguments import first_problem
from agents.schema.items import InputAudio, InputImage, OutputPart
from inference.relay.schema import ensure_shallow, ensure_storable
from kernel import metrics
from kernel.asgi import ClientWatch, Message, Receive, Send
from kernel.errors import PlatformError
from kernel.storage.version import VERSION
from tenants.admission.principal import Principal

log = logging.getLogger(__name__)

ERROR_CODE = "tenantry/error_code"
SERVER_NAME = "tenantry"


async def serve(call: Call, principal: Principal, offers: Mapping[str, Offer]) -> None:
    """Respond to the message in the body of the request.

    Raises ClientLeft, BodyTooLarge, and InvalidJson and InvalidParameter for a body that is nested
    too deep or cannot be stored. The library reports what else is wrong with it.
    """
    body = await call.body()
    ensure_shallow(body)
    ensure_storable(body)
    client = ClientWatch(call.receive)
    # A manager for each request: what it starts ends with the request, also if the client leaves.
    # The gateway checks the origin, and reads the body within its own limit.
    manager = StreamableHTTPSessionManager(
        server_of(call, principal, offers),
        json_response=True,
        stateless=True,
        max_request_body_size=max(1, len(body)),
    )
    async with client, manager.run():
        await manager.handle_request(call.scope, replay(body), respond_by(call, client))


def server_of(call: Call, principal: Principal, offers: Mapping[str, Offer]) -> Server[object]:
    """Return a server that lists and calls the offers for one request."""

    async def list_tools(
        _: ServerRequestContext[object], __: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(
            tools=[as_tool(each) for each in offers.values() if not each.is_paused]
        )

    async def call_offer(
        _: ServerRequestContext[object], params: CallToolRequestParams
    ) -> CallToolResult:
        offer = offers.get(params.name)
        if offer is None:
            raise MCPError(code=INVALID_PARAMS, message=f"Unknown tool: {params.name[:100]}")
        return as_result(await outcome_of(call, principal, offer, params.arguments or {}))

    return Server(
        SERVER_NAME,
        version=VERSION,
        on_list_tools=list_tools,
        on_call_tool=call_offer,
    )


async def outcome_of(
    call: Call, principal: Principal, offer: Offer, arguments: dict[str, object]
) -> CallOutcome:
    """Call the offer. An error is a result that the calling model reads."""
    if problem := first_problem(arguments, offer.input_schema):
        return CallOutcome(text=f"The arguments are not valid: {problem}", is_error=True)
    try:
        if offer.tool is not None:
            return await call_tool(call, principal, offer.tool, arguments)
        return await call_agent(call, principal, offer, arguments)
    except PlatformError as error:
        metrics.series(metrics.refusals, error.code, scope_kind(error)).inc()
        return error_outcome(error)
    except Exception:
        # A bug: the library would answer with an error, and its log lines are switched off.
        log.exception("mcp: unexpected failure of a call")
        return error_outcome(PlatformError())


def error_outcome(error: PlatformError) -> CallOutcome:
    return CallOutcome(text=error.message, is_error=True, meta={ERROR_CODE: error.code})


def as_tool(offer: Offer) -> Tool:
    return Tool(
        name=offer.name,
        title=offer.title,
        description=offer.description,
        input_schema=object_schema(offer.input_schema),
        output_schema=object_schema(offer.output_schema) if offer.output_schema else None,
        annotations=ToolAnnotations(read_only_hint=True) if offer.is_read_only else None,
    )


def object_schema(schema: Mapping[str, object]) -> dict[str, object]:
    """Return a schema with the type that MCP requires. Ours may leave it out."""
    return {"type": "object", **schema}


def as_result(outcome: CallOutcome) -> CallToolResult:
    parts = [content_of(part) for part in outcome.parts]
    return CallToolResult(
        content=parts or [TextContent(text=outcome.text)],
        structured_content=outcome.structured,
        is_error=outcome.is_error,
        _meta=outcome.meta or None,
    )


def content_of(part: OutputPart) -> ContentBlock:
    if isinstance(part, InputImage):
        return image_of(part.image_url)
    if isinstance(part, InputAudio):
        audio = part.input_audio
        return AudioContent(data=audio.data, mime_type=f"audio/{audio.format}")
    return TextContent(text=part.text)


def image_of(url: str) -> ContentBlock:
    """Return the image of a `data:` address; the address as text if it is another one."""
    head, _, data = url.partition(";base64,")
    if not head.startswith("data:") or not is_base64(data):
        return TextContent(text=url)
    return ImageContent(data=data, mime_type=head.removeprefix("data:"))


def is_base64(data: str) -> bool:
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def replay(body: bytes) -> Receive:
    """Return a `receive` with the body that was read already; `ClientWatch` receives the rest."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError("the event is never set")

    return receive


def respond_by(call: Call, client: ClientWatch) -> Send:
    """Return a `send` that adds the headers of the call and records the status."""

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            client.dismiss()
            call.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *call.headers]}
        await call.send(message)

    return send
