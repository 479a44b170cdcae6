"""Node tokens: the credentials with which agent nodes register."""

from datetime import datetime

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from agents.errors import InvalidNodeToken, NodeTokenUsedUp
from agents.models import AgentNode, NodeToken
from kernel.audit import note_transition
from tenants.api_keys.registration_tokens import find_token, new_token

NODE_TOKEN = "tnn"  # noqa: S105 - the kind of the token, not a token


def issue_node_token(*, name: str, max_uses: int | None = None) -> tuple[NodeToken, str]:
    """Create a node token. Return it with its text, which is not stored."""
    text, columns = new_token(kind=NODE_TOKEN)
    return NodeToken.objects.create(name=name, max_uses=max_uses, **columns), text


@transaction.atomic
def block_node_token(*, token: NodeToken, now: datetime) -> bool:
    """Block a token from now on, and drain the nodes that registered with it.

    Returns False if it was blocked already.
    """
    blocked = NodeToken.objects.filter(pk=token.pk, blocked_at=None).update(blocked_at=now) == 1
    if blocked:
        note_transition(token, field="status", before="accepted", after="blocked")
        AgentNode.objects.filter(token=token, drain_requested_at=None).update(
            drain_requested_at=Now()
        )
    return blocked


def token_of(text: str) -> NodeToken:
    """Return the token of a text. Raises InvalidNodeToken."""
    token = find_token(NodeToken.objects.all(), text, kind=NODE_TOKEN)
    if token is None:
        raise InvalidNodeToken
    return token


def use_token(token: NodeToken) -> None:
    """Count a registration. Raises NodeTokenUsedUp, and InvalidNodeToken if blocked meanwhile."""
    rows = NodeToken.objects.filter(pk=token.pk, blocked_at=None)
    has_uses = Q(max_uses=None) | Q(uses__lt=F("max_uses"))
    if rows.filter(has_uses).update(uses=F("uses") + 1, last_used_at=Now()):
        return
    raise NodeTokenUsedUp if rows.exists() else InvalidNodeToken
