"""What somebody may make tools of, and the credential that they are called with: values only."""

from dataclasses import dataclass

from agents.schema.imported_tool import ImportedTool, Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What is sent along with each call, and how. Never log it."""

    secret: str = ""
    header: str = "authorization"
    prefix: str = "Bearer "

    @property
    def settings(self) -> dict[str, str]:
        """What a tool's settings say about it, where it is not as usual."""
        usual = Credential()
        chosen = {"credential_header": self.header, "credential_prefix": self.prefix}
        plain = {"credential_header": usual.header, "credential_prefix": usual.prefix}
        return {name: value for name, value in chosen.items() if value != plain[name]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What somebody may choose from."""

    kind: str
    """As `ToolKind` names it."""
    tools: tuple[ImportedTool, ...]
    skipped: tuple[Skipped, ...] = ()
    credential_host: str = ""
    """The one host for which the credential is meant; the document's own, as `host_of` writes it.
    Empty if there is none."""
