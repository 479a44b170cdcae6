"""The subject of an admission, for a request to a model or an agent."""

from agents.runtime.catalog.model_resolution import ResolvedModel
from tenants.admission.gate import Subject
from tenants.admission.principal import Principal


def subject_of(
    target: ResolvedModel,
    *,
    principal: Principal,
    door: str,
    request_kind: str = "chat",
    client_request_id: str = "",
) -> Subject:
    """Return the subject of a request. `request_kind` is the scope that the key needs."""
    return Subject(
        principal=principal,
        door=door,
        request_kind=request_kind,
        route=target.route.name,
        price=target.route.price,
        agent=target.agent.slug if target.agent else "",
        agent_revision=target.agent.revision if target.agent else None,
        client_request_id=client_request_id,
    )
