"""What tools need of a worker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.runtime.catalog.tools import ToolCatalog
from agents.runtime.tools.kind import FindHandoffTarget, ToolHandler

Kinds = Callable[[FindHandoffTarget], Mapping[str, ToolHandler]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDependencies:
    """Built once, in `config`."""

    tools: ToolCatalog
    kinds: Kinds
