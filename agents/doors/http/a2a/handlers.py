"""`/a2a/{tenant}/{agent}`: agents as servers of the A2A protocol 1.0 (ADR 48).

The SDK parses requests and renders responses; `request_handler` answers them with runs.
"""

from functools import partial

from agents.doors.base.call import Call
from agents.doors.base.door import Handler
from agents.doors.http.a2a.caller import find_offered_agent, identify
from agents.doors.http.a2a.error_rendering import request_id_of, rest_error, rpc_error
from agents.doors.http.a2a.library import load_protocol
from agents.schema.a2a.tasks import DOOR as NAME
from inference.relay.schema import ensure_shallow, ensure_storable

__all__ = ["NAME", "answer_rest", "answer_rpc", "show_card"]


async def show_card(call: Call) -> None:
    """Respond with the agent card. It is public, and has no more than its tenant wants to offer."""
    call.render_error = rest_error
    agent = await find_offered_agent(call)
    protocol = await load_protocol()
    await protocol.respond_with_card(call, agent)


async def answer_rpc(call: Call) -> None:
    """Answer a request of the JSON-RPC binding."""
    call.render_error = rpc_error
    caller = await identify(call)
    body = await call.body()
    call.render_error = partial(rpc_error, request_id=request_id_of(body))
    ensure_usable(body)
    protocol = await load_protocol()
    await protocol.respond_to_rpc(call, caller, body)


def ensure_usable(body: bytes) -> None:
    """Raises InvalidJson for a body that is nested too deep, and InvalidParameter for one that
    cannot be stored.
    """
    ensure_shallow(body)
    ensure_storable(body)


def answer_rest(operation: str) -> Handler:
    """Return the handler of an operation of the HTTP+JSON binding."""

    async def answer(call: Call) -> None:
        call.render_error = rest_error
        caller = await identify(call)
        body = await call.body()
        ensure_usable(body)
        protocol = await load_protocol()
        await protocol.respond_to_rest(call, caller, body, operation)

    return answer
