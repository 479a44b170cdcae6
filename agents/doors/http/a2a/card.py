"""The agent card of an agent: what it can do, where it is, and how to authenticate.

Source: A2A 1.0, section 4.4.
"""

from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)
from a2a.utils.constants import PROTOCOL_VERSION_1_0, TransportProtocol

from agents.doors.http.a2a.parts import INPUT_MODES, OUTPUT_MODES
from agents.runtime.catalog.agents import PublishedAgent

SCHEME = "api_key"


def card_of(agent: PublishedAgent, *, url: str) -> AgentCard:
    """Return the card of an agent, whose interfaces are at `url`."""
    return AgentCard(
        name=agent.name,
        description=agent.description or agent.name,
        version=str(agent.revision),
        supported_interfaces=[
            AgentInterface(url=url, protocol_binding=binding, protocol_version=PROTOCOL_VERSION_1_0)
            for binding in (TransportProtocol.JSONRPC.value, TransportProtocol.HTTP_JSON.value)
        ],
        capabilities=AgentCapabilities(
            streaming=True, push_notifications=True, extended_agent_card=False
        ),
        security_schemes={
            SCHEME: SecurityScheme(
                http_auth_security_scheme=HTTPAuthSecurityScheme(
                    scheme="Bearer", description="An API key of the agent's tenant."
                )
            )
        },
        security_requirements=[SecurityRequirement(schemes={SCHEME: StringList()})],
        default_input_modes=INPUT_MODES,
        default_output_modes=OUTPUT_MODES,
        skills=skills_of(agent),
    )


def skills_of(agent: PublishedAgent) -> list[AgentSkill]:
    """Return the capabilities as skills. An agent without any has one skill: itself."""
    words = list(agent.capabilities)
    if not words:
        text = agent.description or agent.name
        return [AgentSkill(id=agent.slug, name=agent.name, description=text, tags=[agent.slug])]
    return [
        AgentSkill(
            id=word,
            name=word,
            description=f"{agent.name}: {word}",
            # `translate.de-en` is found by `translate`, too.
            tags=list(dict.fromkeys((word, word.split(".")[0]))),
        )
        for word in words
    ]
