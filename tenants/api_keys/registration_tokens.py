"""Tokens with which engines and nodes register: the columns of a new one, and the row of a text."""

from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Model, QuerySet

from tenants.api_keys.keys import digest_key, key_matches, new_key, parse_key, pepper_name

Row = TypeVar("Row", bound=Model)


def new_token(*, kind: str) -> tuple[str, dict[str, Any]]:
    """Return the text of a new token, which is not stored, and the columns that are."""
    text = new_key(kind=kind)
    pepper = settings.KEY_PEPPERS[0]
    columns = {
        "public_id": text.public_id,
        "digest": digest_key(text, pepper=pepper),
        "pepper": pepper_name(pepper),
    }
    return str(text), columns


def find_token(rows: "QuerySet[Row]", text: str, *, kind: str) -> Row | None:
    """Return the row of a token's text; None if there is none that is not blocked."""
    key = parse_key(text, kind=kind)
    if key is None:
        return None
    token: Any = rows.filter(public_id=key.public_id, blocked_at=None).first()
    peppers = {pepper_name(pepper): pepper for pepper in settings.KEY_PEPPERS}
    if token is None or token.pepper not in peppers:
        return None
    is_its_text = key_matches(key, digest=bytes(token.digest), pepper=peppers[token.pepper])
    return token if is_its_text else None
