"""Operating an agent: pausing it, its nodes, and removing it from them."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from unfold.decorators import action

from agents import services
from agents.admin.conversation import primary_key_of
from agents.models import Agent
from agents.nodes.placement import place_agent, placement_name
from agents.nodes.selectors import load_node_facts
from agents.schema.routing.placement import read_placement
from kernel.admin.base import ConsoleAdmin, Question

PAUSE = Question(
    title="Pause this agent?",
    explains="New requests are refused with agent_paused within a second, and tasks choose other "
    "agents. What the agent has accepted is executed.",
    verb="Pause",
    applies=lambda agent: not agent.is_paused,
    otherwise="This agent is paused already.",
)
RESUME = Question(
    title="Resume this agent?",
    explains="It accepts requests and tasks again within a second.",
    verb="Resume",
    applies=lambda agent: agent.is_paused,
    otherwise="This agent is not paused.",
)
UNDEPLOY = Question(
    title="Remove this agent from all agent nodes?",
    explains="No node executes its background runs and tasks any more: queued ones wait until it "
    "is deployed again, and tasks choose other agents. Gateways still answer its other requests.",
    verb="Undeploy",
    applies=lambda agent: agent.placement.get("replicas") != 0,
    otherwise="This agent is on no node already.",
)
MAX_NODES_SHOWN = 50


class AgentOperations(ConsoleAdmin):
    """The actions of operators on the page of an agent, and where it is."""

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """Extend Django's view with the nodes of the agent."""
        agent = Agent.objects.filter(pk=primary_key_of(object_id)).first()
        extra = {} if agent is None else nodes_of(agent)
        kwargs["extra_context"] = {**(kwargs.get("extra_context") or {}), **extra}
        return super().change_view(request, object_id, *args, **kwargs)

    @action(description="Pause", icon="pause")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(agent: Agent) -> HttpResponse:
            services.pause_agent(agent=agent)
            return self.redirect_with_message(request, agent, "The agent is paused.")

        return self.confirm(request, object_id, question=PAUSE, act=act)

    @action(description="Resume", icon="play_arrow")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(agent: Agent) -> HttpResponse:
            services.resume_agent(agent=agent)
            return self.redirect_with_message(request, agent, "The agent accepts requests again.")

        return self.confirm(request, object_id, question=RESUME, act=act)

    @action(description="Undeploy", icon="cloud_off")
    def undeploy(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(agent: Agent) -> HttpResponse:
            services.undeploy_agent(agent=agent)
            return self.redirect_with_message(request, agent, "The agent is on no node now.")

        return self.confirm(request, object_id, question=UNDEPLOY, act=act)


def nodes_of(agent: Agent) -> dict[str, Any]:
    """Return the nodes of an agent, and the others with their reasons."""
    name = placement_name(agent.tenant_id, agent.slug)
    placed = place_agent(name, read_placement(agent.placement), load_node_facts())
    return {
        "nodes": placed.nodes[:MAX_NODES_SHOWN],
        "other_nodes": list(placed.left_out.items())[:MAX_NODES_SHOWN],
        "placement_problem": placed.problem,
        "is_placed": True,
    }
