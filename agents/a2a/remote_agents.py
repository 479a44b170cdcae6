"""The services that register agents of others. Nothing else writes them."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from agents.errors import InvalidAgentCard, RemoteAgentNameTaken
from agents.models import RemoteAgent
from agents.runtime.tools.a2a.agent_card import (
    MAX_CARD_BYTES,
    WrongCard,
    choose_interface,
    read_card,
)
from agents.runtime.tools.http.parameters import CONTROL
from agents.runtime.tools.http.settings import ensure_header
from agents.runtime.tools.settings import WrongSettings
from agents.topics import agents_topic
from kernel.egress.client import Request, configured_egress, fetch_now
from kernel.egress.rules import TargetRefused, read_origin
from kernel.publishing.publish import publish as publish_topics
from tenants.scoping import tenant_scope

CARD_TIMEOUT_SECONDS = 10.0
STATUS_OK = 200
ANY_ORIGIN = "*"
"""It is ignored here: each origin must be named."""
CARD_FIELDS = ("card_url", "card", "interface_url", "binding", "fetched_at")


def save_remote_agent(*, agent: RemoteAgent) -> None:
    """Store a new or changed remote agent. A new card URL is fetched.

    Raises ValidationError, InvalidAgentCard, TargetRefused, EgressFailed and RemoteAgentNameTaken.
    """
    ensure_storable(agent)
    before = stored_agent(agent)
    if before is None or before.card_url != agent.card_url:
        fetch_card(agent)
    ensure_same_server(agent, before)
    store(agent)


def refresh_remote_agent(*, agent: RemoteAgent) -> None:
    """Fetch the card again. Raises InvalidAgentCard, TargetRefused and EgressFailed."""
    fetch_card(agent)
    ensure_same_server(agent, stored_agent(agent))
    store(agent)


def stored_agent(agent: RemoteAgent) -> RemoteAgent | None:
    """Return the row before a change, without its credential; None for a new one."""
    with tenant_scope(agent.tenant_id):
        rows = RemoteAgent.objects.filter(pk=agent.pk).defer("credential")
        found: RemoteAgent | None = rows.first()
        return found


def ensure_storable(agent: RemoteAgent) -> None:
    """Raises ValidationError."""
    agent.clean_fields(exclude=("tenant", *CARD_FIELDS[1:]))
    try:
        ensure_header(agent.credential_header, agent.credential_prefix)
    except WrongSettings as error:
        raise ValidationError({"credential_header": str(error)}) from error
    if is_entered(agent) and CONTROL.search(agent.credential):
        raise ValidationError("A credential must not contain control characters.")


def fetch_card(agent: RemoteAgent) -> None:
    """Fetch and check the card. Every address in it follows the same rules as the card's own."""
    request = Request(method="GET", url=agent.card_url, headers={"accept": "application/json"})
    answer = fetch_now(request, seconds=CARD_TIMEOUT_SECONDS, max_bytes=MAX_CARD_BYTES)
    if answer.status != STATUS_OK:
        raise InvalidAgentCard(f"The server answered {answer.status} instead of an agent card.")
    try:
        card = read_card(answer.body)
        chosen = choose_interface(
            card,
            served_by=answer.url,
            allowed_origins=[each for each in settings.A2A_ORIGINS if each != ANY_ORIGIN],
        )
        configured_egress().ensure_target(chosen.url)
    except WrongCard as error:
        raise InvalidAgentCard(str(error)) from error
    except TargetRefused as error:
        raise InvalidAgentCard(f"The address of the agent: {error.message}") from error
    agent.card = {
        "name": card.name,
        "description": card.description,
        "version": card.version,
        "skills": [
            {"id": each.id, "name": each.name, "description": each.description}
            for each in card.skills
        ],
    }
    agent.interface_url, agent.binding = chosen.url, chosen.protocol_binding
    agent.fetched_at = timezone.now()


def is_entered(agent: RemoteAgent) -> bool:
    """Return whether a credential was entered with this change."""
    return "credential" not in agent.get_deferred_fields()


def ensure_same_server(agent: RemoteAgent, before: RemoteAgent | None) -> None:
    """Refuse to send a stored credential to another server. Raises InvalidAgentCard."""
    if before is None or is_entered(agent):
        return
    with tenant_scope(agent.tenant_id):
        has_credential = RemoteAgent.objects.filter(pk=agent.pk).exclude(credential="").exists()
    if has_credential and read_origin(before.interface_url) != read_origin(agent.interface_url):
        raise InvalidAgentCard(
            "The agent is at another server now. Enter its credential again, or remove it."
        )


@transaction.atomic
def store(agent: RemoteAgent) -> None:
    with tenant_scope(agent.tenant_id):
        try:
            with transaction.atomic():
                agent.save()
        except IntegrityError as error:
            raise RemoteAgentNameTaken(param="name") from error
        publish_topics(agents_topic(agent.tenant_id))


@transaction.atomic
def delete_remote_agent(*, agent: RemoteAgent) -> None:
    """Delete a remote agent. Tools that name it answer with an error from now on."""
    with tenant_scope(agent.tenant_id):
        agent.delete()
        publish_topics(agents_topic(agent.tenant_id))
