"""What is kept of a run that may wait for a person: all that another worker needs to go on."""

import msgspec

from agents.events.run_settings import RunSettings
from agents.runtime.budget import Progress
from agents.runtime.create_run import CreateRun
from agents.runtime.items import Item, StoredItem
from agents.runtime.limits import RunLimits
from agents.runtime.open_calls import answered, plan_from_items
from agents.runtime.ports import Plan
from agents.runtime.resolution import Target
from agents.runtime.shown_items import shown_items
from inference.relay.parameters import ChatMessage, ChatRequest, Tool
from tenants.admission.usage import Usage


class PausedRun(msgspec.Struct, frozen=True, kw_only=True):
    """As it lies in the table, while the run goes on. Holds what was said."""

    create: CreateRun
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

    def plan(self, target: Target, *, limits: RunLimits) -> Plan:
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


def write_paused(run: PausedRun) -> str:
    return msgspec.json.encode(run).decode()


def read_paused(text: str) -> PausedRun | None:
    """None if there is nothing, or what another version of us has written."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=PausedRun)
    except msgspec.DecodeError:
        return None
