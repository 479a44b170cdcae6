"""The tools that can be imported from a source, and their credential, as values."""

from dataclasses import dataclass

from agents.schema.imported_tool import ImportedTool, Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """The secret that is sent with each call, and its header. Never log it."""

    secret: str = ""
    header: str = "authorization"
    prefix: str = "Bearer "

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a tool that differ from the defaults."""
        usual = Credential()
        chosen = {"credential_header": self.header, "credential_prefix": self.prefix}
        plain = {"credential_header": usual.header, "credential_prefix": usual.prefix}
        return {name: value for name, value in chosen.items() if value != plain[name]}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCandidates:
    """The tools of one source that can be imported."""

    kind: str
    """A value of `ToolKind`."""
    tools: tuple[ImportedTool, ...]
    skipped: tuple[Skipped, ...] = ()
    credential_host: str = ""
    """The only host that gets the credential: that of the document, in the form of `host_of`.
    Empty if there is none."""
