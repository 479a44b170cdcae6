"""The body of `POST /v1/tasks`, and the run that it becomes."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agents.doors.base.task_ports import RunOfTask
from agents.doors.http.create_response import (
    Label,
    Metadata,
    ResponseBody,
    TextOptions,
    as_create_run,
)
from agents.schema.items import Item
from agents.schema.routing.placement import CAPABILITY, CAPABILITY_RULE
from agents.schema.routing.tasks import NewTask
from agents.schema.run_request import RunRequest
from kernel.errors import InvalidParameter, MissingParameter

NAME = "tasks"
MAX_PRIORITY = 100
MAX_REQUIRED = 16


class TaskBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/tasks`."""

    input: str | dict[str, Any] | list[dict[str, Any]]
    idempotency_key: Label
    required_capabilities: Annotated[list[str], Meta(max_length=MAX_REQUIRED)] = []
    agent: Label | None = None
    priority: Annotated[int, Meta(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    deadline: Annotated[datetime, Meta(tz=True)] | int | None = None
    callback: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    metadata: Metadata | None = None


def as_new_task(body: TaskBody) -> NewTask:
    """Raises InvalidParameter, and MissingParameter without capabilities and agent."""
    if not body.required_capabilities and body.agent is None:
        raise MissingParameter(
            "A task names the capabilities that it requires. Send `required_capabilities`, or the "
            "`agent` that is to do it.",
            param="required_capabilities",
        )
    for place, word in enumerate(body.required_capabilities):
        if not CAPABILITY.fullmatch(word):
            raise InvalidParameter(CAPABILITY_RULE, param=f"required_capabilities[{place}]")
    return NewTask(
        required_capabilities=tuple(dict.fromkeys(body.required_capabilities)),
        input=body.input,
        agent=body.agent or "",
        priority=body.priority,
        deadline=read_deadline(body.deadline),
        idempotency_key=body.idempotency_key,
        callback_url=body.callback or "",
        metadata=body.metadata or {},
        fingerprint=fingerprint_of(body),
    )


def fingerprint_of(body: TaskBody) -> str:
    """Return a hash of all members but the key."""
    text = msgspec.json.encode(msgspec.structs.replace(body, idempotency_key="-"), order="sorted")
    return hashlib.sha256(text).hexdigest()[:32]


def read_deadline(given: datetime | int | None) -> datetime | None:
    """Return a deadline, which is a time or seconds since 1970. Raises InvalidParameter."""
    if given is None:
        return None
    try:
        deadline = datetime.fromtimestamp(given, UTC) if isinstance(given, int) else given
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidParameter("`deadline` is no time.", param="deadline") from error
    if deadline <= datetime.now(UTC):
        raise InvalidParameter("`deadline` is in the past. Send a later time.", param="deadline")
    return deadline


def input_of(body: TaskBody) -> str | list[dict[str, Any]]:
    """Return the input for the run: an object is a message with its JSON."""
    if isinstance(body.input, dict):
        return msgspec.json.encode(body.input).decode()
    return body.input


def run_of(body: TaskBody, items: tuple[Item, ...], facts: RunOfTask) -> RunRequest:
    """Return the run of a task: a background response of the chosen agent."""
    text = TextOptions(format=facts.output_format) if facts.output_format else None
    response = ResponseBody(
        model=facts.agent,
        input=[],
        text=text,
        metadata=body.metadata,
        client_id=facts.task_id,
        background=True,
    )
    return as_create_run(response, items=items, door=NAME, busy="reject", survives_disconnect=True)
