"""What a key may call over MCP: agents and tools of its tenant."""

from collections.abc import Mapping

import msgspec

from agents.capabilities.output_format import output_format
from agents.doors.base.gateway import Gateway
from agents.runtime.catalog.agents import PublishedAgent
from agents.runtime.tools.agent_settings import MESSAGE_SCHEMA
from agents.runtime.tools.run_tools import needs_run
from agents.schema.json_types import Json
from agents.schema.routing.capabilities import NO_SCHEMAS
from agents.schema.tool_spec import ToolSpec
from inference.fleet.snapshot import Fleet
from kernel.errors import NotFound
from tenants.admission.principal import Principal

NAME = "mcp"
NO_ARGUMENTS: Mapping[str, object] = {"type": "object", "properties": {}}


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """An agent or a tool, as an MCP tool."""

    name: str
    title: str
    description: str
    input_schema: Mapping[str, object]
    output_schema: Mapping[str, object] | None = None
    response_format: Json | None = None
    """The `text.format` with which an agent answers."""
    tool: ToolSpec | None = None
    """The tool; None for an agent."""
    is_read_only: bool = False
    is_paused: bool = False
    """Whether it is an agent that is paused: it is not listed, and a call is refused."""


async def offers_of(gateway: Gateway, principal: Principal) -> dict[str, Offer]:
    """Return what the key may call, by name. An agent hides a tool of the same name.

    A key that is limited to models is offered no tools. Raises AgentsUnavailable.
    """
    tenant_id = principal.tenant_id
    agents = await gateway.catalog.of_tenant(tenant_id)
    tools = () if principal.allowed_models else await gateway.tools.offered_over_mcp(tenant_id)
    offers = [*map(offer_of_tool, filter(is_callable, tools))]
    offers += [
        offer_of_agent(agent)
        for agent in agents.values()
        if is_offered(agent, principal, gateway.fleet.current)
    ]
    return {offer.name: offer for offer in offers}


async def offer_of(gateway: Gateway, principal: Principal, slug: str) -> dict[str, Offer]:
    """Return the offer of one agent. Raises NotFound, and AgentsUnavailable."""
    agent = (await gateway.catalog.of_tenant(principal.tenant_id)).get(slug)
    if agent is None or not is_offered(agent, principal, gateway.fleet.current):
        raise NotFound(
            f"There is no agent {slug[:100]!r} that this key may call over MCP. Enable “offered "
            "over MCP” on the agent's page."
        )
    return {slug: offer_of_agent(agent)}


def is_offered(agent: PublishedAgent, principal: Principal, fleet: Fleet) -> bool:
    route = fleet.routes.get(agent.route)
    is_chat = route is not None and route.purpose == "chat"
    return agent.offered_over_mcp and is_chat and principal.may_use(agent.slug)


def is_callable(tool: ToolSpec) -> bool:
    """Return whether a tool can be called outside of a run. The console refuses to offer others."""
    return not needs_run(tool.kind, tool.settings) and not tool.needs_approval


def offer_of_tool(tool: ToolSpec) -> Offer:
    return Offer(
        name=tool.name,
        title=tool.name,
        description=tool.description,
        input_schema=tool.schema or NO_ARGUMENTS,
        tool=tool,
        is_read_only=tool.kind == "builtin",
    )


def offer_of_agent(agent: PublishedAgent) -> Offer:
    """Return an agent's offer, with the schemas of its capability if it has exactly one."""
    only = list(agent.capabilities) if len(agent.capabilities) == 1 else []
    schemas = agent.capabilities[only[0]] if only else NO_SCHEMAS
    return Offer(
        name=agent.slug,
        title=agent.name,
        description=agent.description or f"Sends a request to the agent {agent.name}.",
        input_schema=schemas.input or MESSAGE_SCHEMA,
        output_schema=schemas.output,
        response_format=output_format(agent, only),
        is_paused=agent.is_paused,
    )
