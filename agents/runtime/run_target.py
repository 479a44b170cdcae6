"""Which agent, revision and route a run gets, before it begins."""

from agents.runtime.create_run import CreateRun
from agents.runtime.machinery import Machinery
from agents.runtime.resolution import Target, resolve
from agents.runtime.rollout import Sticky, sticky_to
from agents.runtime.variables import ensure_known
from kernel.ids import new_request_id
from tenants.admission.principal import Principal


async def target_of(machinery: Machinery, principal: Principal, create: CreateRun) -> Target:
    """During a rollout, conversations and chains of responses stay with what they began with.

    Raises ModelNotFound, InvalidParameter for variables that there are none of, and Overloaded.
    """
    tenant_id, model = principal.tenant_id, create.model
    agents = await machinery.catalog.of_tenant(tenant_id)
    agent = agents.get(model)
    target = resolve(
        model,
        purpose="chat",
        principal=principal,
        agents=agents,
        fleet=machinery.fleet.current,
        sticky=await sticky_for(machinery, principal, create)
        if agent is not None and agent.candidate is not None
        else None,
        pinned=await machinery.catalog.pinned(tenant_id, model) if "@" in model else None,
    )
    ensure_known(create.variables or (), known=target.agent.variables if target.agent else ())
    return target


async def sticky_for(machinery: Machinery, principal: Principal, create: CreateRun) -> Sticky:
    """What the table knows is only asked for while a rollout is running."""
    place = create.conversation or create.previous_response or ""
    recorded = None
    if place:
        begun = await machinery.store.begun_with(
            principal.tenant_id,
            conversation=create.conversation,
            previous_response=create.previous_response,
        )
        slug, revision = begun or ("", None)
        recorded = revision if slug == create.model else None
    return sticky_to(
        key_id=principal.counted_as,
        request_id=new_request_id(),
        conversation=place,
        user=create.user,
        recorded=recorded,
    )
