"""Resolves the agent, revision and route of a run before it starts."""

from agents.runtime.catalog.model_lookup import find_model
from agents.runtime.catalog.model_resolution import ResolvedModel
from agents.runtime.catalog.revision_selection import Sticky, sticky_to
from agents.runtime.catalog.variables import ensure_known
from agents.runtime.execution.dependencies import RunDependencies
from agents.schema.run_request import RunRequest
from kernel.ids import new_request_id
from tenants.admission.principal import Principal


async def resolve_target(
    dependencies: RunDependencies, principal: Principal, request: RunRequest
) -> ResolvedModel:
    """Return the target of a run. A rollout does not change it within a conversation or chain.

    Raises ModelNotFound, InvalidParameter for unknown variables, and Overloaded.
    """
    target = await find_model(
        request.model,
        purpose="chat",
        principal=principal,
        catalog=dependencies.catalog,
        fleet=dependencies.fleet,
        sticky=await sticky_for(dependencies, principal, request),
    )
    ensure_known(request.variables or (), known=target.agent.variables if target.agent else ())
    return target


async def sticky_for(
    dependencies: RunDependencies, principal: Principal, request: RunRequest
) -> Sticky | None:
    """Return what assigns the run to a revision during a rollout; None without a rollout."""
    agent = (await dependencies.catalog.of_tenant(principal.tenant_id)).get(request.model)
    if agent is None or agent.candidate is None:
        return None
    place = request.conversation or request.previous_response or ""
    recorded = None
    if place:
        started = await dependencies.store.initial_revision(
            principal.tenant_id,
            conversation=request.conversation,
            previous_response=request.previous_response,
        )
        slug, revision = started or ("", None)
        recorded = revision if slug == request.model else None
    return sticky_to(
        key_id=principal.counted_as,
        request_id=new_request_id(),
        conversation=place,
        user=request.user,
        recorded=recorded,
    )
