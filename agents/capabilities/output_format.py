"""The format in which an agent answers, from the output schema of a capability. Pure."""

import re
from collections.abc import Sequence

from agents.runtime.catalog.agents import PublishedAgent
from agents.schema.json_types import Json

UNNAMEABLE = re.compile("[^A-Za-z0-9_-]")


def output_format(agent: PublishedAgent | None, required: Sequence[str]) -> Json | None:
    """Return the `text.format` for the output schema, if exactly one capability is required."""
    if agent is None or len(required) != 1 or required[0] not in agent.capabilities:
        return None
    schema = agent.capabilities[required[0]].output
    if schema is None:
        return None
    name = UNNAMEABLE.sub("_", required[0])
    return {"type": "json_schema", "name": name, "schema": schema, "strict": True}
