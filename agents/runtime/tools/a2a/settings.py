"""The settings of a tool that is an agent of others. Pure."""

from typing import Annotated

from msgspec import Meta

from agents.runtime.tools.settings import KindSettings


class A2aSettings(KindSettings, frozen=True):
    """The remote agent that gets the message."""

    agent: Annotated[str, Meta(min_length=1, max_length=64)]
    """The name of a registered remote agent of the same tenant."""


class RemoteTarget(KindSettings, frozen=True):
    """The settings with the address of the remote agent, as tools are loaded."""

    agent: str
    url: str = ""
    """Empty if the agent is not registered, or is disabled."""
    binding: str = ""
    credential_header: str = "authorization"
    credential_prefix: str = "Bearer "
