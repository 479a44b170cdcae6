"""Join tokens: the credentials with which engines register in a pool."""

from datetime import datetime

from django.db import transaction

from inference.errors import InvalidJoinToken
from inference.models import JoinToken, ModelPool
from kernel.audit import note_transition
from tenants.api_keys.registration_tokens import find_token, new_token

JOIN_TOKEN = "tnj"  # noqa: S105 - the kind of the token, not a token


def issue_join_token(*, pool: ModelPool, name: str) -> tuple[JoinToken, str]:
    """Create a join token for `pool`. Return it with its text, which is not stored."""
    text, columns = new_token(kind=JOIN_TOKEN)
    return JoinToken.objects.create(name=name, pool=pool, **columns), text


@transaction.atomic
def block_join_token(*, token: JoinToken, now: datetime) -> bool:
    """Block a token from now on. Return False if it was blocked already."""
    blocked = JoinToken.objects.filter(pk=token.pk, blocked_at=None).update(blocked_at=now) == 1
    if blocked:
        note_transition(token, field="status", before="accepted", after="blocked")
    return blocked


def pool_of_join_token(text: str, *, now: datetime) -> ModelPool:
    """Return the pool of a join token. Raises InvalidJoinToken."""
    token = find_token(JoinToken.objects.select_related("pool"), text, kind=JOIN_TOKEN)
    if token is None:
        raise InvalidJoinToken
    JoinToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token.pool
