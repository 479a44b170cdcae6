"""One message to an agent of others, by the official client, up to the end of its task."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from uuid import uuid4

import httpx
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientError
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    StreamResponse,
    Task,
    TaskState,
)
from a2a.utils.constants import PROTOCOL_VERSION_1_0
from a2a.utils.errors import A2AError
from google.protobuf.json_format import MessageToJson

from agents.runtime.loop.ports import ToolResult
from agents.runtime.tools.a2a.transport import A2aEgressTransport
from kernel.egress.client import Egress, EgressFailed

FIRST_POLL_SECONDS = 0.25
MAX_POLL_SECONDS = 2.0
CANCEL_TIMEOUT_SECONDS = 1.0
TOO_LATE = "The agent did not answer in time."
ACTIVE = frozenset({TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING})
WAITING = frozenset({TaskState.TASK_STATE_INPUT_REQUIRED, TaskState.TASK_STATE_AUTH_REQUIRED})
WRONG_ANSWER = "The agent did not answer as A2A 1.0 requires."


async def send_message(
    egress: Egress,
    *,
    url: str,
    binding: str,
    headers: Mapping[str, str],
    text: str,
    seconds: float,
) -> ToolResult:
    """Send a message in a new context, and return the answer.

    A task whose id is known, and whose answer nobody will read, is cancelled; while its server has
    not answered, only the connection is closed. Raises TargetRefused and EgressFailed.
    """
    transport = A2aEgressTransport(egress, seconds=seconds)
    async with httpx.AsyncClient(transport=transport, headers=headers, timeout=None) as http:  # noqa: S113 - the transport has one
        config = ClientConfig(
            httpx_client=http, streaming=False, supported_protocol_bindings=[binding]
        )
        client = ClientFactory(config).create(card_of(url, binding))
        try:
            return await converse(client, text, seconds=seconds)
        except (A2AError, A2AClientError, httpx.HTTPError) as error:
            if transport.failure is not None:
                raise transport.failure from error
            return ToolResult(text=f"The agent refused the message: {error}", is_error=True)
        except (ValueError, TypeError) as error:
            # The SDK parses the answer with these errors.
            raise EgressFailed(WRONG_ANSWER) from error


def card_of(url: str, binding: str) -> AgentCard:
    """Return a card with the registered interface only: nothing else of a card is trusted."""
    interface = AgentInterface(
        url=url, protocol_binding=binding, protocol_version=PROTOCOL_VERSION_1_0
    )
    return AgentCard(
        name="remote",
        supported_interfaces=[interface],
        capabilities=AgentCapabilities(streaming=False),
    )


async def converse(client: Client, text: str, *, seconds: float) -> ToolResult:
    """Send the message, poll the task until it ends, and cancel it after `seconds`."""
    task: Task | None = None
    try:
        async with asyncio.timeout(seconds):
            answer = await first_answer(client, text)
            if answer.HasField("message"):
                return ToolResult(text=text_of(answer.message.parts))
            task = answer.task
            task = await ended(client, task)
    except TimeoutError:
        await cancel(client, task)
        raise EgressFailed(TOO_LATE) from None
    except asyncio.CancelledError:
        await cancel(client, task)
        raise
    if task.status.state in WAITING:
        await cancel(client, task)
    return result_of(task)


async def first_answer(client: Client, text: str) -> StreamResponse:
    request = SendMessageRequest(
        message=Message(message_id=str(uuid4()), role=Role.ROLE_USER, parts=[Part(text=text)])
    )
    async for answer in client.send_message(request):
        return answer
    raise EgressFailed(WRONG_ANSWER)


async def ended(client: Client, task: Task) -> Task:
    """Return the task when it has ended or waits for input."""
    pause = FIRST_POLL_SECONDS
    while task.status.state in ACTIVE:
        await asyncio.sleep(pause)
        pause = min(2 * pause, MAX_POLL_SECONDS)
        task = await client.get_task(GetTaskRequest(id=task.id))
    return task


async def cancel(client: Client, task: Task | None) -> None:
    """Cancel a task whose answer nobody reads. A failure changes nothing here."""
    if task is None:
        return
    with contextlib.suppress(A2AError, A2AClientError, httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(CANCEL_TIMEOUT_SECONDS):
            await client.cancel_task(CancelTaskRequest(id=task.id))


def result_of(task: Task) -> ToolResult:
    """Return the artifacts of a task; an error if it did not complete."""
    parts = [part for artifact in task.artifacts for part in artifact.parts]
    output = text_of(parts) or text_of(task.status.message.parts)
    state = task.status.state
    if state == TaskState.TASK_STATE_COMPLETED:
        return ToolResult(text=output)
    reason = text_of(task.status.message.parts) or output
    name = TaskState.Name(state).removeprefix("TASK_STATE_").lower()
    return ToolResult(
        text=f"The task of the agent ended as {name}. {reason}".strip(), is_error=True
    )


def text_of(parts: Iterable[Part]) -> str:
    """Return the texts and data of parts, one per line. Of files the model reads the names."""
    lines = []
    for part in parts:
        match part.WhichOneof("content"):
            case "text":
                lines.append(part.text)
            case "data":
                lines.append(MessageToJson(part.data, indent=None))
            case "raw" | "url":
                lines.append(f"[file {part.filename or part.media_type}]")
            case _:
                pass
    return "\n".join(lines)
