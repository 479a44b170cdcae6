"""What is admitted: shared by the doors."""

from agents.runtime.catalog.model_resolution import Target
from tenants.admission.gate import Subject
from tenants.admission.principal import Principal


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
