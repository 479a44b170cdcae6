"""The checkpoint of a run: all that another worker needs to resume it, as the table stores it."""

import msgspec

from agents.schema.items import Item, StoredItem
from agents.schema.run_limits import RunProgress
from agents.schema.run_request import RunRequest
from agents.schema.run_settings import RunSettings
from agents.schema.stored_items import client_view, outputs_for_open_calls
from inference.relay.schema import ChatMessage, ChatRequest, ToolDefinition
from tenants.admission.usage.records import Usage


class RunCheckpoint(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    # Rows of earlier versions have these names.
    rename={
        "run_request": "create",
        "usage": "used",
        "model_calls": "calls",
        "last_event": "number",
    },
):
    """The state of a run between two steps of its loop. It contains texts of the tenant."""

    run_request: RunRequest
    settings: RunSettings
    key: str
    """The public id of the key that the run was requested with."""
    agent: str
    """The slug of the agent; empty for a plain model."""
    revision: int
    request: ChatRequest | None = None
    """The request to the engine without `messages` and `tools`, which are stored separately: their
    number is limited only in requests of clients. None for a run that has not started."""
    messages: tuple[ChatMessage, ...] = ()
    tools: tuple[ToolDefinition, ...] = ()
    client_tools: frozenset[str] = frozenset()
    items: tuple[Item, ...] = ()
    """The items that the run has made, in order."""
    started_calls: frozenset[str] = frozenset()
    """The ids of the calls that were about to be executed: whether they were is unknown."""
    progress: RunProgress = RunProgress()
    usage: Usage = Usage()
    model_calls: int = 0
    last_event: int = -1
    """The number of the last published event."""

    def items_to_store(self, *, note: str) -> tuple[StoredItem, ...]:
        """Return the items to store if the run ends here; open calls get `note` as their output."""
        inputs = (StoredItem(item=item, is_input=True) for item in self.run_request.input)
        made = client_view((*self.items, *outputs_for_open_calls(self.items, note=note)))
        return (*inputs, *(StoredItem(item=item) for item in made))


def dump_checkpoint(run: RunCheckpoint) -> str:
    return msgspec.json.encode(run).decode()


def load_checkpoint(text: str) -> RunCheckpoint | None:
    """Return a checkpoint; None for an empty text, or one of another version of the platform."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=RunCheckpoint)
    except msgspec.DecodeError:
        return None
