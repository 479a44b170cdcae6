"""Resolves `model` with the agents and routes that this worker knows now."""

from agents.errors import AgentPaused
from agents.runtime.catalog.agents import AgentCatalog
from agents.runtime.catalog.model_resolution import ResolvedModel, resolve
from agents.runtime.catalog.revision_selection import Sticky
from inference.fleet.snapshot import FleetReference
from tenants.admission.principal import Principal


async def find_model(
    model: str,
    *,
    purpose: str,
    principal: Principal,
    catalog: AgentCatalog,
    fleet: FleetReference,
    sticky: Sticky | None = None,
) -> ResolvedModel:
    """Resolve the name of a new request: an agent, a revision (`<slug>@<number>`), or a route.

    Without `sticky` the request does not take part in a rollout. Raises ModelNotFound, AgentPaused,
    and Overloaded if the agents cannot be read.
    """
    found = await find_accepted_model(
        model, purpose=purpose, principal=principal, catalog=catalog, fleet=fleet, sticky=sticky
    )
    if found.agent is not None and found.agent.is_paused:
        raise AgentPaused(param="model")
    return found


async def find_accepted_model(
    model: str,
    *,
    purpose: str,
    principal: Principal,
    catalog: AgentCatalog,
    fleet: FleetReference,
    sticky: Sticky | None = None,
) -> ResolvedModel:
    """Resolve the name of a request that was accepted before its agent was paused.

    Raises ModelNotFound, and Overloaded if the agents cannot be read.
    """
    tenant_id = principal.tenant_id
    pinned = await catalog.pinned(tenant_id, model) if "@" in model else None
    return resolve(
        model,
        purpose=purpose,
        principal=principal,
        agents=await catalog.of_tenant(tenant_id),
        fleet=fleet.current,
        sticky=sticky,
        pinned=pinned,
    )
