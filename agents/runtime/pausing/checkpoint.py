"""What is kept of a run that may wait for a person: all that another worker needs to go on."""

import msgspec

from agents.runtime.catalog.model_resolution import Target
from agents.runtime.loop.budget import Progress
from agents.runtime.loop.pending_calls import answered, plan_from_items
from agents.runtime.loop.ports import RunPlan
from agents.schema.items import Item, StoredItem
from agents.schema.run_limits import RunLimits
from agents.schema.run_request import RunRequest
from agents.schema.run_settings import RunSettings
from agents.schema.stored_items import shown_items
from inference.relay.schema import ChatMessage, ChatRequest, Tool
from tenants.admission.usage.records import Usage


class RunCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """As it lies in the table, while the run goes on. Holds what was said."""

    create: RunRequest
    settings: RunSettings
    key: str
    """Public id of the key that asked."""
    agent: str
    revision: int
    request: ChatRequest
    """As the engine gets it, without what the next two hold: their numbers are limited only for
    requests that come from outside."""
    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...]
    client_tools: frozenset[str] = frozenset()
    items: tuple[Item, ...] = ()
    """What the run made, in order."""
    progress: Progress = Progress()
    used: Usage = Usage()
    calls: int = 0
    """Times a model was asked for it."""
    number: int = -1
    """Of the last event that it told."""

    def plan(self, target: Target, *, limits: RunLimits) -> RunPlan:
        """How it goes on."""
        assert target.agent is not None, "only agents have tools that a person must allow"
        request = msgspec.structs.replace(
            self.request, messages=list(self.messages), tools=list(self.tools) or None
        )
        return plan_from_items(
            self.items,
            request=request,
            limits=limits,
            done=self.progress,
            client_tools=self.client_tools,
            agents=(target.agent.slug,),
        )

    def kept_items(self, *, note: str) -> tuple[StoredItem, ...]:
        """What stays if it ends here; calls that nothing has answered get `note`."""
        brought = (StoredItem(item=item, is_input=True) for item in self.create.input)
        made = shown_items((*self.items, *answered(self.items, note=note)))
        return (*brought, *(StoredItem(item=item) for item in made))


def dump_checkpoint(run: RunCheckpoint) -> str:
    return msgspec.json.encode(run).decode()


def load_checkpoint(text: str) -> RunCheckpoint | None:
    """None if there is nothing, or what another version of us has written."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=RunCheckpoint)
    except msgspec.DecodeError:
        return None
