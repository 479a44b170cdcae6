"""Which agent, revision and route a run gets, before it begins."""

from agents.runtime.catalog.model_resolution import Target, resolve
from agents.runtime.catalog.revision_selection import Sticky, sticky_to
from agents.runtime.catalog.variables import ensure_known
from agents.runtime.execution.dependencies import RunDependencies
from agents.schema.run_request import RunRequest
from kernel.ids import new_request_id
from tenants.admission.principal import Principal


async def target_of(
    dependencies: RunDependencies, principal: Principal, create: RunRequest
) -> Target:
    """During a rollout, conversations and chains of responses stay with what they began with.

    Raises ModelNotFound, InvalidParameter for variables that there are none of, and Overloaded.
    """
    tenant_id, model = principal.tenant_id, create.model
    agents = await dependencies.catalog.of_tenant(tenant_id)
    agent = agents.get(model)
    target = resolve(
        model,
        purpose="chat",
        principal=principal,
        agents=agents,
        fleet=dependencies.fleet.current,
        sticky=await sticky_for(dependencies, principal, create)
        if agent is not None and agent.candidate is not None
        else None,
        pinned=await dependencies.catalog.pinned(tenant_id, model) if "@" in model else None,
    )
    ensure_known(create.variables or (), known=target.agent.variables if target.agent else ())
    return target


async def sticky_for(
    dependencies: RunDependencies, principal: Principal, create: RunRequest
) -> Sticky:
    """What the table knows is only asked for while a rollout is running."""
    place = create.conversation or create.previous_response or ""
    recorded = None
    if place:
        begun = await dependencies.store.begun_with(
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
