"""What an MCP tool is made of. Pure."""

from typing import Annotated

from msgspec import Meta

from agents.runtime.tools.http.settings import ensure_header
from agents.runtime.tools.settings import KindSettings


class McpSettings(KindSettings, frozen=True):
    """A tool of a server, spoken to over Streamable HTTP. Commands are never run."""

    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    tool: Annotated[str, Meta(min_length=1, max_length=200)]
    """Its name there. What the model reads of it is what was listed when it was imported."""
    credential_header: str = "authorization"
    credential_prefix: str = "Bearer "


def ensure_askable(settings: McpSettings) -> None:
    """Raises WrongSettings for a header that cannot be sent."""
    ensure_header(settings.credential_header, settings.credential_prefix)
