"""Who was locked out for guessing passwords, and may try again."""

from axes.utils import reset
from django.db import transaction

from kernel.audit import note_use
from tenants.models import User


@transaction.atomic
def unlock_user(*, user: User) -> bool:
    """Let a person try again at once, from every address. Whether there was anything to forget."""
    forgotten: int = reset(username=user.get_username())
    if forgotten:
        note_use(user, act="sign-in", detail="unlocked")
    return forgotten > 0
