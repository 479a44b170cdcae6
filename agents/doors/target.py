"""From a caller and a model's name to what is admitted: shared by the doors."""

from agents.doors.gateway import Gateway
from agents.runtime.resolution import Target, resolve
from agents.runtime.rollout import Sticky, sticky_to
from kernel.ids import new_request_id
from tenants.admission.gate import Subject
from tenants.admission.principal import Principal


async def resolve_for(
    gateway: Gateway,
    principal: Principal,
    model: str,
    *,
    purpose: str,
    sticky: Sticky | None = None,
) -> Target:
    """Which route serves `model` for this caller, and as which agent. Raises ModelNotFound.

    `sticky` keeps a conversation or a user with one revision during a rollout; None: by lot.
    """
    tenant_id = principal.tenant_id
    pinned = await gateway.catalog.pinned(tenant_id, model) if "@" in model else None
    return resolve(
        model,
        purpose=purpose,
        principal=principal,
        agents=await gateway.catalog.of_tenant(tenant_id),
        fleet=gateway.fleet.current,
        sticky=sticky or sticky_to(key_id=principal.key_id, request_id=new_request_id()),
        pinned=pinned,
    )


def subject_of(
    target: Target,
    *,
    principal: Principal,
    door: str,
    kind: str = "chat",
    client_request_id: str = "",
) -> Subject:
    """What the gate is asked to admit."""
    return Subject(
        principal=principal,
        door=door,
        kind=kind,
        route=target.route.name,
        price=target.route.price,
        agent=target.agent.slug if target.agent else "",
        agent_revision=target.agent.revision if target.agent else None,
        client_request_id=client_request_id,
    )
