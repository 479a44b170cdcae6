"""`/v1/tasks`: work for whichever agent of the tenant has the required capabilities."""

import asyncio
import re

from agents.doors.base.call import Call
from agents.doors.base.event_sink import EventSink
from agents.doors.base.paging import (
    integer_parameter,
    query_parameters,
    read_page,
    render_page,
)
from agents.doors.base.referenced_input import read_whole_input
from agents.doors.base.response_stream import stream_events
from agents.doors.base.task_ports import RunOfTask
from agents.doors.http.tasks.body import TaskBody, as_new_task, input_of, run_of
from agents.doors.http.tasks.rendering import task_object
from agents.schema.routing.tasks import TaskRecord
from agents.schema.run_request import RunRequest
from inference.relay.schema import parse
from kernel import metrics
from kernel.asgi import ClientWatch
from kernel.errors import BodyTooLarge, NotFound, PlatformError

MAX_TASK_BYTES = 512 * 1024
TASK_ID = re.compile(r"task_[0-9a-f]{30}")
COUNTED_REFUSALS = frozenset({"no_capable_agent", "queue_full", "agent_paused"})
CANCEL_POLLS = 20
CANCEL_POLL_SECONDS = 0.05


async def create_task(call: Call) -> None:
    """Choose an agent and start its run. The same idempotency key gets the same task."""
    principal = await call.authenticate("chat")
    body = parse(await read_body(call), TaskBody)
    task = as_new_task(body)
    items = await read_whole_input(
        input_of(body), tenant_id=principal.tenant_id, runs=call.gateway.runs
    )

    def make_run(facts: RunOfTask) -> RunRequest:
        return run_of(body, items, facts)

    try:
        submitted = await call.gateway.tasks.submit(principal, task, make_run)
    except PlatformError as error:
        count(error.code if error.code in COUNTED_REFUSALS else "refused")
        raise
    count("accepted" if submitted.is_new else "repeated")
    record = submitted.record or await call.gateway.tasks.load(
        principal.tenant_id, task=submitted.id
    )
    await call.respond_json(task_object(record), status=202 if submitted.is_new else 200)


async def list_tasks(call: Call) -> None:
    """List the tenant's tasks by creation time."""
    principal = await call.authenticate("chat")
    page = await call.gateway.tasks.list(principal.tenant_id, paging=read_page(call.scope))
    await call.respond_json(render_page(map(task_object, page.data), has_more=page.has_more))


async def show_task(call: Call) -> None:
    """Respond with the state of a task, its output, and why its agent was chosen."""
    principal = await call.authenticate("chat")
    await call.respond_json(task_object(await load(call, principal.tenant_id)))


async def cancel_task(call: Call) -> None:
    """Cancel a task and respond with its result. Has no effect after its end."""
    principal = await call.authenticate("chat")
    record = await load(call, principal.tenant_id)
    if not record.is_over:
        await call.gateway.runner.cancel(principal.tenant_id, record.run_id)
        for _ in range(CANCEL_POLLS):
            record = await load(call, principal.tenant_id)
            if record.is_over:
                break
            await asyncio.sleep(CANCEL_POLL_SECONDS)
    await call.respond_json(task_object(record))


async def stream_task(call: Call) -> None:
    """Respond with the events of the run after `starting_after`, as those of a response."""
    principal = await call.authenticate("chat")
    after = integer_parameter(
        query_parameters(call.scope).get("starting_after"),
        name="starting_after",
        default=-1,
        min_value=0,
        max_value=10**9,
    )
    record = await load(call, principal.tenant_id)
    client = ClientWatch(call.receive)
    async with client:
        sink = EventSink(call, client=client)
        follow = call.gateway.runner.follow(principal.tenant_id, record.run_id, after=after)
        await stream_events(call, sink, follow)


async def load(call: Call, tenant_id: int) -> TaskRecord:
    """Return the task in the path. Raises NotFound."""
    task_id: str = call.scope["url_route"]["kwargs"]["task"]
    if not TASK_ID.fullmatch(task_id):
        raise NotFound("There is no such task here.", param="task_id")
    return await call.gateway.tasks.load(tenant_id, task=task_id)


def count(outcome: str) -> None:
    metrics.series(metrics.tasks, outcome).inc()


async def read_body(call: Call) -> bytes:
    """Return the body. Raises BodyTooLarge also if it is larger than a task may be."""
    body = await call.body()
    if len(body) > MAX_TASK_BYTES:
        raise BodyTooLarge(f"A task has at most {MAX_TASK_BYTES} bytes. Send less.")
    return body
