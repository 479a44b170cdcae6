"""Who goes on with a run that waited: the same key, agent and revision, if they are still there."""

import time

import msgspec

from agents.runtime.machinery import Machinery
from agents.runtime.paused_run import PausedRun
from agents.runtime.resolution import Target, resolve
from tenants.admission.principal import Principal, ensure_usable
from tenants.errors import InvalidApiKey


async def principal_of(machinery: Machinery, paused: PausedRun) -> Principal:
    """The key that asked, as it is now. Raises why it may not go on, and Overloaded."""
    principal = await machinery.find_principal(paused.key)
    if principal is None:
        raise InvalidApiKey
    # From where it was asked was checked then; there is no caller now.
    anywhere = msgspec.structs.replace(principal, allowed_networks=())
    ensure_usable(anywhere, scope="chat", address=None, now=time.time())
    return principal


async def target_again(machinery: Machinery, principal: Principal, paused: PausedRun) -> Target:
    """The very revision that began. Raises ModelNotFound if it is gone, and Overloaded."""
    tenant_id, model = principal.tenant_id, paused.create.model
    agents = await machinery.catalog.of_tenant(tenant_id)
    revision = f"{paused.agent}@{paused.revision}"
    pinned = await machinery.catalog.pinned(tenant_id, revision)
    return resolve(
        model,
        purpose="chat",
        principal=principal,
        agents={} if pinned is None else agents,
        fleet=machinery.fleet.current,
        pinned=pinned,
    )
