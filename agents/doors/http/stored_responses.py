"""`/v1/responses/{id}`: read a run, follow it again, cancel it, forget it, see its input."""

import asyncio
import re
from urllib.parse import parse_qs

from agents.doors.base.call import Call
from agents.doors.base.event_sink import EventSink
from agents.doors.base.response_stream import stream_events
from agents.events.stored_response import known_response
from agents.schema.items import shown_json
from kernel.asgi import ClientWatch
from kernel.errors import InvalidParameter, NotFound

ADDRESS = re.compile(r"\A/v1/responses/(?P<id>[A-Za-z0-9_]{1,40})(?:/[a-z_]+)?/?\Z")
TRUE = ("true", "1")
LOOKS = 20
LOOK_SECONDS = 0.05
MAX_ITEMS = 100


def response_id(call: Call) -> str:
    """Of the address. Raises NotFound for what can be none."""
    match = ADDRESS.match(call.scope["path"])
    if match is None:
        raise NotFound("There is no such response here.", param="response_id")
    return match["id"]


def query(call: Call) -> dict[str, str]:
    """The last value of each parameter."""
    text = call.scope.get("query_string", b"").decode("latin-1")
    return {name: values[-1] for name, values in parse_qs(text).items()}


def number(text: str | None, *, name: str, default: int, least: int, most: int) -> int:
    """A parameter of the query. Raises InvalidParameter."""
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text[:12]) <= most:
        raise InvalidParameter(f"`{name}` is a number from {least} to {most}.", param=name)
    return int(text)


async def show_response(call: Call) -> None:
    """What it is by now, or with `stream=true` its events beyond `starting_after`."""
    principal = await call.authenticate("chat")
    run_id, asked = response_id(call), query(call)
    if asked.get("stream") in TRUE:
        after = number(
            asked.get("starting_after"), name="starting_after", default=-1, least=0, most=10**9
        )
        client = ClientWatch(call.receive)
        async with client:
            sink = EventSink(call, client=client)
            follow = call.gateway.runner.follow(principal.tenant_id, run_id, after=after)
            await stream_events(call, sink, follow)
        return
    known = await call.gateway.runs.load(principal.tenant_id, run_id)
    if not known.store:
        raise NotFound("There is no such response here.", param="response_id")
    await call.respond_json(known_response(known))


async def cancel_response(call: Call) -> None:
    """Stop it, wherever it runs, and answer what it came to. Harmless when it has ended."""
    principal = await call.authenticate("chat")
    run_id = response_id(call)
    known = await call.gateway.runner.cancel(principal.tenant_id, run_id)
    for _ in range(LOOKS):
        if known.is_over:
            break
        await asyncio.sleep(LOOK_SECONDS)
        known = await call.gateway.runs.load(principal.tenant_id, run_id)
    await call.respond_json(known_response(known))


async def delete_response(call: Call) -> None:
    """Forget it and its events. What it said in a conversation stays there."""
    principal = await call.authenticate("chat")
    run_id = response_id(call)
    await call.gateway.runs.delete(principal.tenant_id, run_id)
    await call.gateway.runner.forget_log(run_id)
    await call.respond_json({"id": run_id, "object": "response", "deleted": True})


async def list_input_items(call: Call) -> None:
    """What the client brought, from when the response has ended."""
    principal = await call.authenticate("chat")
    run_id, asked = response_id(call), query(call)
    if asked.get("order", "desc") not in ("asc", "desc"):
        raise InvalidParameter("`order` is `asc` or `desc`.", param="order")
    page = await call.gateway.runs.load_input(
        principal.tenant_id,
        run_id,
        after=asked.get("after"),
        limit=number(asked.get("limit"), name="limit", default=20, least=1, most=MAX_ITEMS),
        newest_first=asked.get("order", "desc") == "desc",
    )
    data = [shown_json(item) for item in page.items]
    ids = [item["id"] for item in data]
    await call.respond_json(
        {
            "object": "list",
            "data": data,
            "first_id": ids[0] if ids else None,
            "last_id": ids[-1] if ids else None,
            "has_more": page.has_more,
        }
    )
