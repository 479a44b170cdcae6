"""The dependencies of tools, shared by all runs of a worker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.runtime.catalog.tools import ToolCatalog
from agents.runtime.tools.kind import FindHandoffTarget, ToolHandler
from agents.runtime.tools.messages.ports import SendingRun


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDependencies:
    """Built once per worker, in `config`."""

    catalog: ToolCatalog
    handlers: Callable[[FindHandoffTarget, SendingRun], Mapping[str, ToolHandler]]
    """Returns the handlers of one run by tool kind."""
