"""The settings of an MCP tool. Pure."""

from typing import Annotated

from msgspec import Meta

from agents.runtime.tools.http.settings import ensure_header
from agents.runtime.tools.settings import KindSettings


class McpSettings(KindSettings, frozen=True):
    """A tool of a server with Streamable HTTP. Servers that are commands are not supported."""

    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    tool: Annotated[str, Meta(min_length=1, max_length=200)]
    """The name at the server. The model gets the description from the time of the import."""
    credential_header: str = "authorization"
    credential_prefix: str = "Bearer "


def ensure_mcp_settings(settings: McpSettings) -> None:
    """Raises WrongSettings for a header that cannot be sent."""
    ensure_header(settings.credential_header, settings.credential_prefix)
