"""Who goes on with a run that waited: the same key, agent and revision, if they are still there."""

import time

import msgspec

from agents.runtime.catalog.model_resolution import Target, resolve
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.pausing.checkpoint import RunCheckpoint
from tenants.admission.principal import Principal, ensure_usable
from tenants.errors import InvalidApiKey


async def reload_principal(dependencies: RunDependencies, paused: RunCheckpoint) -> Principal:
    """The key that asked, as it is now. Raises why it may not go on, and Overloaded."""
    principal = await dependencies.find_principal(paused.key)
    if principal is None:
        raise InvalidApiKey
    # From where it was asked was checked then; there is no caller now.
    anywhere = msgspec.structs.replace(principal, allowed_networks=())
    ensure_usable(anywhere, scope="chat", address=None, now=time.time())
    return principal


async def resolve_same_revision(
    dependencies: RunDependencies, principal: Principal, paused: RunCheckpoint
) -> Target:
    """The very revision that began. Raises ModelNotFound if it is gone, and Overloaded."""
    tenant_id, model = principal.tenant_id, paused.create.model
    agents = await dependencies.catalog.of_tenant(tenant_id)
    revision = f"{paused.agent}@{paused.revision}"
    pinned = await dependencies.catalog.pinned(tenant_id, revision)
    return resolve(
        model,
        purpose="chat",
        principal=principal,
        agents={} if pinned is None else agents,
        fleet=dependencies.fleet.current,
        pinned=pinned,
    )
