"""The task object."""

from agents.events.response_object import usage_object
from agents.schema.items import Item, Message, client_json
from agents.schema.json_types import Json
from agents.schema.routing.tasks import TaskRecord
from agents.schema.stored_items import client_view


def task_object(task: TaskRecord) -> Json:
    """Return a task as clients see it. Lists leave out the input and the output."""
    body: Json = {
        "id": task.id,
        "object": "task",
        "created_at": task.created_at,
        "state": task.state,
        "required_capabilities": task.required_capabilities,
        "requested_agent": task.requested_agent or None,
        "agent": task.agent,
        "revision": task.revision,
        "node": task.node or None,
        "attempts": task.attempts,
        "priority": task.priority,
        "deadline": task.deadline,
        "idempotency_key": task.idempotency_key,
        "callback": task.callback_url or None,
        "metadata": task.metadata,
        "response_id": task.run_id,
        "started_at": task.started_at,
        "completed_at": task.ended_at,
        "error": task.problem,
        "usage": usage_object(task.usage) if task.is_over else None,
        "explanation": visible_explanation(task.explanation),
    }
    if task.output is not None:
        output = client_view(task.output)
        body["input"] = task.input
        body["output"] = [client_json(item) for item in output]
        body["output_text"] = text_of(output)
    return body


def visible_explanation(explanation: Json) -> Json:
    """Leave out the agents that the key may not use: it must not learn that they exist."""
    candidates = explanation.get("candidates", ())
    visible = [each for each in candidates if each["code"] != "not_allowed"]
    return {**explanation, "candidates": visible}


def text_of(output: tuple[Item, ...]) -> str:
    """Return the texts of all messages in the output."""
    return "".join(item.text for item in output if isinstance(item, Message))
