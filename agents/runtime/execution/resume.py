"""Loads what a run needs to continue in this worker: its key, agent and revision."""

import time

import msgspec

from agents.runtime.catalog.model_lookup import find_accepted_model
from agents.runtime.catalog.model_resolution import ResolvedModel
from agents.runtime.execution.dependencies import RunDependencies
from agents.schema.checkpoint import RunCheckpoint
from tenants.admission.principal import Principal, ensure_usable
from tenants.errors import InvalidApiKey


async def reload_principal(dependencies: RunDependencies, checkpoint: RunCheckpoint) -> Principal:
    """Return the current principal of the run's key. Raises if it is unusable, and Overloaded."""
    principal = await dependencies.find_principal(checkpoint.key)
    if principal is None:
        raise InvalidApiKey
    # The network of the caller was checked when the run was requested; there is no caller now.
    anywhere = msgspec.structs.replace(principal, allowed_networks=())
    ensure_usable(anywhere, scope="chat", address=None, now=time.time())
    return principal


async def resolve_same_revision(
    dependencies: RunDependencies, principal: Principal, checkpoint: RunCheckpoint
) -> ResolvedModel:
    """Return the revision, or the model, that the run was created for.

    Raises ModelNotFound, and Overloaded.
    """
    model = checkpoint.run_request.model
    target = await find_accepted_model(
        f"{checkpoint.agent}@{checkpoint.revision}" if checkpoint.agent else model,
        purpose="chat",
        principal=principal,
        catalog=dependencies.catalog,
        fleet=dependencies.fleet,
    )
    return msgspec.structs.replace(target, model=model)
