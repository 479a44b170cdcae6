"""What tools need of a worker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.runtime.tool_catalog import ToolCatalog
from agents.runtime.tools.kind import Delegates, Kind

Kinds = Callable[[Delegates], Mapping[str, Kind]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Built once, in `config`."""

    tools: ToolCatalog
    kinds: Kinds
