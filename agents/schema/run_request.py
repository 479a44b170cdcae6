"""What a run is asked for with, whatever the door."""

import hashlib
from typing import Literal

import msgspec

from agents.schema.items import Item, item_json
from agents.schema.json_types import Json
from inference.relay.schema import ChatRequest, Tool

BusyPolicy = Literal["reject", "enqueue", "interrupt", "rollback"]
Truncation = Literal["auto", "disabled"]


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One response that is wanted."""

    door: str
    model: str
    input: tuple[Item, ...]
    instructions: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    chat: ChatRequest | None = None
    """A chat request that is asked as it came, in the place of input and history."""
    tools: tuple[Tool, ...] = ()
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = None
    """Of the agent's own, where that is less than the agent allows."""
    response_format: Json | None = None
    parameters: Json = {}
    """Further parameters of a chat request, checked already."""
    echo: Json = {}
    """Further members of the response that are given back as they came."""
    metadata: Json | None = None
    conversation: str | None = None
    previous_response: str | None = None
    before: tuple[Item, ...] = ()
    """What was said before, up to the response that this one `continues`, if no table keeps it."""
    continues: str | None = None
    client_id: str = ""
    stream_id: str | None = None
    store: bool = True
    background: bool = False
    goes_on: bool = True
    """Whether it goes on when whoever asked for it has left."""
    user: str = ""
    """Whom the client serves: during a rollout that user stays with one revision."""
    truncation: Truncation | None = None
    """Whether the oldest may be left out where not all fits the context; None if nobody says."""
    variables: dict[str, str] | None = None
    """For the places of the same name in the agent's instructions."""
    busy: BusyPolicy = "reject"
    """Where the agent has no policy of its own."""

    @property
    def fingerprint(self) -> str:
        """Of what is asked, so that a `client_id` cannot stand for two requests."""
        items = [{**item_json(item), "id": ""} for item in self.input]
        settings = (self.model, self.instructions, self.variables)
        asked = msgspec.json.encode((*settings, items, self.previous_response or self.continues))
        return hashlib.sha256(asked).hexdigest()[:32]
