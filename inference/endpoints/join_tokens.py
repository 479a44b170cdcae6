"""Join tokens: what lets an engine into one pool."""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from inference.errors import InvalidJoinToken
from inference.models import JoinToken, ModelPool
from kernel.audit import note_transition
from tenants.api_keys.keys import digest_key, key_matches, new_key, parse_key, pepper_name

JOIN_TOKEN = "tnj"  # noqa: S105 - the kind of the token, not a token


def issue_join_token(*, pool: ModelPool, name: str) -> tuple[JoinToken, str]:
    """Make a token that lets engines join `pool`; its text exists only in this answer."""
    text = new_key(kind=JOIN_TOKEN)
    pepper = settings.KEY_PEPPERS[0]
    token = JoinToken.objects.create(
        name=name,
        pool=pool,
        public_id=text.public_id,
        digest=digest_key(text, pepper=pepper),
        pepper=pepper_name(pepper),
    )
    return token, str(text)


@transaction.atomic
def block_join_token(*, token: JoinToken, now: datetime) -> bool:
    """Refuse a token from now on. False if it was blocked already."""
    blocked = JoinToken.objects.filter(pk=token.pk, blocked_at=None).update(blocked_at=now) == 1
    if blocked:
        note_transition(token, field="status", before="accepted", after="blocked")
    return blocked


def pool_of_join_token(text: str, *, now: datetime) -> ModelPool:
    """The pool that a join token opens. Raises InvalidJoinToken."""
    key = parse_key(text, kind=JOIN_TOKEN)
    if key is None:
        raise InvalidJoinToken
    token = JoinToken.objects.select_related("pool").filter(public_id=key.public_id).first()
    peppers = {pepper_name(pepper): pepper for pepper in settings.KEY_PEPPERS}
    if token is None or token.blocked_at or token.pepper not in peppers:
        raise InvalidJoinToken
    if not key_matches(key, digest=bytes(token.digest), pepper=peppers[token.pepper]):
        raise InvalidJoinToken
    JoinToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token.pool
