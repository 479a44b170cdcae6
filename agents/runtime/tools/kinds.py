"""All kinds of tools, as a run gets them."""

import time
from collections.abc import Mapping

from agents.runtime.ports import Clock
from agents.runtime.tools.agent import AgentTools
from agents.runtime.tools.kind import Delegates, Kind
from agents.runtime.tools.own_kinds import own_kinds
from kernel.egress import Egress


def every_kind(
    egress: Egress, delegates: Delegates, *, clock: Clock = time.monotonic
) -> Mapping[str, Kind]:
    """By the names of `ToolKind`. `delegates` finds agents of the tenant whose run it is."""
    return {**own_kinds(egress), "agent": AgentTools(delegates, clock=clock)}
