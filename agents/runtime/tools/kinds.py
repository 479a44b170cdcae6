"""All kinds of tools, as a run gets them."""

import time
from collections.abc import Mapping

from agents.runtime.ports import Clock
from agents.runtime.tools.agent import AgentTools
from agents.runtime.tools.kind import Delegates, Kind


def every_kind(
    own: Mapping[str, Kind], delegates: Delegates, *, clock: Clock = time.monotonic
) -> Mapping[str, Kind]:
    """By the names of `ToolKind`. `own` are a worker's own kinds, which keep connections between
    runs; `delegates` finds agents of the tenant whose run it is.
    """
    return {**own, "agent": AgentTools(delegates, clock=clock)}
