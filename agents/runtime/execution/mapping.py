"""What a run that is asked for becomes: a request to a model, an echo in the response, a row."""

import time

import msgspec

from agents.runtime.catalog.model_resolution import Target
from agents.schema.run_records import NewRun
from agents.schema.run_request import RunRequest, Truncation
from agents.schema.run_settings import RunSettings
from tenants.admission.principal import Principal


def truncation_of(create: RunRequest, target: Target) -> Truncation:
    """As the client says; without a word agents do as their own settings say, which is to leave
    out or to sum up, and model routes do as Open Responses says, which is neither.
    """
    return create.truncation or ("auto" if target.agent else "disabled")


def settings_for(create: RunRequest, *, run_id: str, target: Target) -> RunSettings:
    """What the response of this run echoes."""
    return RunSettings(
        response_id=run_id,
        model=create.model,
        created_at=int(time.time()),
        instructions=create.instructions,
        temperature=create.temperature,
        top_p=create.top_p,
        max_output_tokens=create.max_output_tokens,
        metadata=create.metadata,
        previous_response_id=create.previous_response or create.continues,
        conversation=create.conversation,
        store=create.store,
        background=create.background,
        stream_id=create.stream_id,
        truncation=truncation_of(create, target),
        fingerprint=create.fingerprint if create.client_id else "",
        **create.echo,
    )


def row_of(
    create: RunRequest,
    settings: RunSettings,
    *,
    principal: Principal,
    target: Target,
    worker: str,
    waits: bool,
) -> NewRun:
    """The run as the table gets it."""
    kept = settings if create.store else settings.without_text()
    return NewRun(
        id=settings.response_id,
        tenant_id=principal.tenant_id,
        worker=worker,
        door=create.door,
        model=create.model,
        agent=target.agent.slug if target.agent else "",
        agent_revision=target.agent.revision if target.agent else None,
        route=target.route.name,
        api_key_id=principal.key_id,
        member_id=principal.member_id,
        conversation=create.conversation,
        previous=create.previous_response,
        client_id=create.client_id,
        fingerprint=settings.fingerprint,
        request=msgspec.to_builtins(kept),
        background=create.background,
        store=create.store,
        waits=waits,
    )
