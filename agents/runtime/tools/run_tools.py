"""Which tools need a run: hand-offs, and built-in tools that send messages. Pure."""

from agents.runtime.tools.builtin_settings import SENDING_FUNCTIONS


def needs_run(kind: str, settings: object) -> bool:
    """Return whether a tool can be called only within a run, whatever its settings are."""
    function = settings.get("function") if isinstance(settings, dict) else None
    return kind == "agent" or (kind == "builtin" and function in SENDING_FUNCTIONS)
