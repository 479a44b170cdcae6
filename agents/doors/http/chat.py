"""`POST /v1/chat`: the simplest endpoint. It takes a text and returns a text.

The server stores the session, which is a conversation: `/v1/conversations/{session_id}` reads and
erases it.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agents.doors.base.call import Call
from agents.doors.base.event_sink import EventSink
from agents.doors.base.open_run import OpenRun, open_run
from agents.doors.http.chat_answer import ChatAnswer, answer_json, chat_events
from agents.schema.history import ConversationFacts
from agents.schema.items import user_message
from agents.schema.run_request import RunRequest
from inference.relay.schema import Parameters, Variables, check_parameters, parse
from kernel.asgi import ClientLeft
from kernel.errors import MissingParameter, NotFound, PlatformError
from tenants.admission.principal import Principal

NAME = "chat"
DONE = b"data: [DONE]\n\n"
CHAT_PARAMETERS = {
    "conversation": "session_id",
    "model": "agent",
    "input": "input_text",
    "messages": "input_text",
}
MAX_AGENT_CHARS = 50
"""Maximum length of the agent's name that a conversation stores."""

Label = Annotated[str, Meta(min_length=1, max_length=200)]


class ChatBody(msgspec.Struct, kw_only=True):
    """The request."""

    input_text: Annotated[str, Meta(min_length=1)]
    session_id: Label | None = None
    agent: Label | None = None
    parameters: dict[str, Any] | None = None
    variables: Variables | None = None
    stream: bool | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation and the agent of a request."""

    id: str
    agent: str
    is_new: bool = False


async def chat(call: Call) -> None:
    """Find or create the session, start a run in it, and respond with its text."""
    principal = await call.authenticate("chat")
    body = parse(await call.body(), ChatBody)
    try:
        await answer(call, principal, body)
    except PlatformError as error:
        error.param = chat_parameter(error.param, body.parameters)
        raise


def chat_parameter(param: str | None, parameters: Mapping[str, Any] | None) -> str | None:
    """Return the name that this endpoint has for the parameter of an error."""
    if param is not None and param in (parameters or {}):
        return f"parameters.{param}"
    return CHAT_PARAMETERS.get(param or "", param)


async def answer(call: Call, principal: Principal, body: ChatBody) -> None:
    parameters = check_parameters(body.parameters or {})
    session = await find_session(call, principal, body)
    create = create_run(body, parameters, session)
    try:
        async with open_run(call, principal, create, runner=call.gateway.runner) as opened:
            if body.stream:
                await stream_answer(call, opened, session, body)
            else:
                await send_answer(call, opened, session)
    except (PlatformError, ClientLeft):
        if session.is_new:
            # The client does not know the new session, so it is deleted if it is empty.
            await call.gateway.conversations.discard_empty(
                principal.tenant_id, conversation=session.id
            )
        raise


async def find_session(call: Call, principal: Principal, body: ChatBody) -> Session:
    """Raises NotFound for a session that is not the tenant's, and ModelNotFound."""
    conversations = call.gateway.conversations
    if body.session_id is not None:
        facts = await existing_session(call, principal, body.session_id)
        agent = body.agent or facts.agent or await only_agent(call, principal)
        await call.find_target(principal, agent, purpose="chat")
        return Session(id=facts.id, agent=agent)
    agent = body.agent or await only_agent(call, principal)
    await call.find_target(principal, agent, purpose="chat")
    facts = await conversations.create(
        principal.tenant_id,
        metadata={},
        items=(),
        agent=agent if len(agent) <= MAX_AGENT_CHARS else "",
    )
    return Session(id=facts.id, agent=agent, is_new=True)


async def existing_session(call: Call, principal: Principal, session_id: str) -> ConversationFacts:
    try:
        return await call.gateway.conversations.read(principal.tenant_id, conversation=session_id)
    except NotFound as error:
        raise NotFound("There is no such session here.", param="session_id") from error


async def only_agent(call: Call, principal: Principal) -> str:
    """Return the only agent of the tenant. Raises MissingParameter if there are several or none."""
    agents = await call.gateway.catalog.of_tenant(principal.tenant_id)
    usable = [slug for slug in agents if principal.may_use(slug)]
    if len(usable) == 1:
        return usable[0]
    known = "`GET /v1/models` lists them." if usable else "None is published yet."
    raise MissingParameter(f"Name the `agent`. {known}", param="agent")


def create_run(body: ChatBody, parameters: Parameters, session: Session) -> RunRequest:
    return RunRequest(
        door=NAME,
        model=session.agent,
        input=(user_message(body.input_text),),
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        max_output_tokens=parameters.max_completion_tokens or parameters.max_tokens,
        parameters={
            name: value
            for name, value in msgspec.structs.asdict(parameters).items()
            if value is not None and name not in {"max_tokens", "max_completion_tokens"}
        },
        conversation=session.id,
        # The server manages the session, so it also truncates it.
        truncation="auto",
        variables=body.variables,
        # A stream starts with the session's id, so the client can find the response later.
        survives_disconnect=bool(body.stream),
    )


async def send_answer(call: Call, opened: OpenRun, session: Session) -> None:
    """Wait for the end and send the response, or the error of a failed run."""
    answer = None
    async for piece in chat_events(opened.events()):
        if isinstance(piece, ChatAnswer):
            answer = piece
    opened.ensure_success()
    assert answer is not None, "every log has a last event"
    await call.respond_json(answer_json(answer, session.id))


async def stream_answer(call: Call, opened: OpenRun, session: Session, body: ChatBody) -> None:
    """Send the session, the text deltas, the whole answer or its error, and `[DONE]`."""
    sink = EventSink(call, client=opened.client)
    async with sink:
        await sink.send(as_event({"session_id": session.id}))
        try:
            async for piece in chat_events(opened.events()):
                if isinstance(piece, str):
                    await sink.send(as_event({"delta": piece}))
                    continue
                opened.ensure_success()
                await sink.end(last_block(piece, session, body))
        except PlatformError as error:
            error.param = chat_parameter(error.param, body.parameters)  # the sink sends it
            raise


def last_block(answer: ChatAnswer, session: Session, body: ChatBody) -> bytes:
    if answer.error is not None:
        param = chat_parameter(answer.error.get("param"), body.parameters)
        payload = msgspec.json.encode({"error": {**answer.error, "param": param}})
        return b"event: error\ndata: %b\n\n" % payload + DONE
    return as_event(answer_json(answer, session.id)) + DONE


def as_event(value: object) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(value)
