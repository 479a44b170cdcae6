"""Hand-offs to other agents of the tenant: found by slug, called for the same principal."""

from collections.abc import Callable
from contextlib import suppress

from agents.runtime.catalog.agents import AgentCatalog, PublishedAgent
from agents.runtime.catalog.model_lookup import find_model
from agents.runtime.catalog.model_resolution import ResolvedModel
from agents.runtime.catalog.prompt import apply_agent
from agents.runtime.loop.ports import RunPlan, StreamModel
from agents.runtime.tools.dependencies import ToolDependencies
from agents.runtime.tools.kind import HandoffTarget
from agents.runtime.tools.messages.ports import SendingRun
from agents.runtime.tools.toolbox import KindToolbox
from inference.errors import ModelNotFound
from inference.fleet.snapshot import FleetReference
from inference.relay.schema import ChatMessage, ChatRequest
from kernel.errors import NotFound


class HandoffResolver:
    """Implements `FindHandoffTarget` for one run."""

    def __init__(
        self,
        tools: ToolDependencies,
        *,
        run: SendingRun,
        catalog: AgentCatalog,
        fleet: FleetReference,
        model_for: Callable[[ResolvedModel], StreamModel],
    ) -> None:
        """`model_for` returns another agent's model, billed to the same principal and run."""
        self._tools = tools
        self._run = run
        self._principal = run.principal
        self._catalog = catalog
        self._fleet = fleet
        self._model_for = model_for

    async def toolbox(self, agent: PublishedAgent | None) -> KindToolbox:
        """Return the agent's tools, as they are now; none without an agent.

        Raises AgentsUnavailable.
        """
        names = agent.tools if agent else ()
        tools = await self._tools.catalog.named(self._principal.tenant_id, names)
        return KindToolbox(tools, self._tools.handlers(self, self._run))

    async def __call__(self, slug: str, message: str) -> HandoffTarget:
        target, agent = await self._find(slug)
        toolbox = await self.toolbox(agent)
        request = ChatRequest(
            model=slug,
            messages=[ChatMessage(role="user", content=message)],
            stream=True,
            tools=toolbox.offer() or None,
        )
        return HandoffTarget(
            plan=RunPlan(request=apply_agent(request, agent), limits=agent.limits),
            stream_model=self._model_for(target),
            tools=toolbox,
        )

    async def _find(self, slug: str) -> tuple[ResolvedModel, PublishedAgent]:
        """Return an agent that the caller's key may use, with its target. Raises NotFound."""
        with suppress(ModelNotFound):
            target = await find_model(
                slug,
                purpose="chat",
                principal=self._principal,
                catalog=self._catalog,
                fleet=self._fleet,
            )
            if target.agent is not None:
                return target, target.agent
        raise NotFound(f"There is no agent {slug!r} that could answer.")
