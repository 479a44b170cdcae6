"""Revocation of tokens of the management API, for example after a change of password."""

from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet

from kernel.audit import note_use


def tokens_of(user: Model) -> "QuerySet[Any]":
    # The gateway loads the user table without the app of these tokens.
    from knox.models import get_token_model

    rows: QuerySet[Any] = get_token_model().objects.filter(user=user)
    return rows


@transaction.atomic
def end_tokens(user: Model) -> int:
    """Revoke all tokens of a user, and audit it. Return their number."""
    rows = tokens_of(user)
    ended: int = rows.count()
    if ended:
        rows.delete()
        note_use(user, act="API tokens", detail=f"revoked: {ended}")
    return ended


def end_token(token: Any) -> None:
    """Revoke one token, and audit it."""
    with transaction.atomic():
        note_use(token.user, act="API token", detail=f"revoked: {token.token_key}")
        token.delete()
