"""The request for a run, which is the same for all doors."""

import hashlib
from typing import Literal

import msgspec

from agents.schema.items import Item, item_json
from agents.schema.json_types import Json
from inference.relay.schema import ChatRequest, ToolDefinition

BusyPolicy = Literal["reject", "enqueue", "interrupt", "rollback"]
Truncation = Literal["auto", "disabled"]


class RunRequest(
    msgspec.Struct, frozen=True, kw_only=True, rename={"survives_disconnect": "goes_on"}
):
    """A request for one response. Checkpoints store it, under the names of earlier versions."""

    door: str
    model: str
    input: tuple[Item, ...]
    instructions: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    chat: ChatRequest | None = None
    """A chat request that is sent unchanged, in place of input and history."""
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = None
    """The request's maximum number of tool calls, if it is lower than the agent's."""
    response_format: Json | None = None
    parameters: Json = {}
    """Further parameters of a chat request, validated already."""
    echo: Json = {}
    """Further members of the response, which are returned unchanged."""
    metadata: Json | None = None
    conversation: str | None = None
    previous_response: str | None = None
    before: tuple[Item, ...] = ()
    """The history up to the response that this one `continues`, if it is not stored."""
    continues: str | None = None
    client_id: str = ""
    stream_id: str | None = None
    store: bool = True
    background: bool = False
    survives_disconnect: bool = True
    """Whether the run continues after the client that requested it has disconnected."""
    user: str = ""
    """The client's own user: during a rollout, a user keeps one revision."""
    truncation: Truncation | None = None
    """Whether the oldest items may be dropped if not all fit the context; None for the default."""
    variables: dict[str, str] | None = None
    """The values of variables in the agent's instructions, by name."""
    hops: int = 0
    """How many messages between agents led to the run."""
    busy: BusyPolicy = "reject"
    """The policy for a busy conversation, if the agent has none."""

    @property
    def fingerprint(self) -> str:
        """A hash of the request, so that a `client_id` cannot be used for two requests."""
        items = [{**item_json(item), "id": ""} for item in self.input]
        settings = (self.model, self.instructions, self.variables)
        text = msgspec.json.encode((*settings, items, self.previous_response or self.continues))
        return hashlib.sha256(text).hexdigest()[:32]
