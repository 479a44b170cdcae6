"""Other agents of the tenant, for hand-offs: found by slug, asked for the same caller."""

from collections.abc import Callable

import msgspec

from agents.runtime.catalog.agents import AgentCatalog, PublishedAgent
from agents.runtime.catalog.model_resolution import Target
from agents.runtime.catalog.prompt import apply_agent
from agents.runtime.execution.tool_dependencies import ToolDependencies
from agents.runtime.loop.ports import AskModel, RunPlan
from agents.runtime.tools.kind import HandoffTarget
from agents.runtime.tools.toolbox import KindToolbox
from inference.fleet.snapshot import FleetReference
from inference.relay.schema import ChatMessage, ChatRequest
from kernel.errors import NotFound
from tenants.admission.principal import Principal


class HandoffResolver:
    """Implements `Delegates` for one run."""

    def __init__(
        self,
        tool_dependencies: ToolDependencies,
        *,
        principal: Principal,
        catalog: AgentCatalog,
        fleet: FleetReference,
        ask_as: Callable[[Target], AskModel],
    ) -> None:
        """`ask_as` makes what asks another agent's model and bills the same caller."""
        self._tool_dependencies = tool_dependencies
        self._principal = principal
        self._tenant_id = principal.tenant_id
        self._catalog = catalog
        self._fleet = fleet
        self._ask_as = ask_as

    async def toolbox(self, agent: PublishedAgent | None) -> KindToolbox:
        """The agent's tools, as they are now; none without an agent. Raises AgentsUnavailable."""
        names = agent.tools if agent else ()
        tools = await self._tool_dependencies.tools.named(self._tenant_id, names)
        return KindToolbox(tools, self._tool_dependencies.kinds(self))

    async def __call__(self, slug: str, message: str) -> HandoffTarget:
        agents = await self._catalog.of_tenant(self._tenant_id)
        # What the key may not ask itself, no agent asks for it.
        agent = agents.get(slug) if self._principal.may_use(slug) else None
        route = self._fleet.current.routes.get(agent.route) if agent else None
        if agent is None or route is None:
            raise NotFound(f"There is no agent {slug!r} that could answer.")
        box = await self.toolbox(agent)
        request = ChatRequest(
            model=slug, messages=[ChatMessage(role="user", content=message)], stream=True
        )
        offered = msgspec.structs.replace(request, tools=box.offer() or None)
        target = Target(model=slug, route=route, agent=agent)
        return HandoffTarget(
            plan=RunPlan(request=apply_agent(offered, agent), limits=agent.limits),
            ask=self._ask_as(target),
            tools=box,
        )
