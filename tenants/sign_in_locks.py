"""Unlocking of users who are locked out after wrong passwords."""

from axes.utils import reset
from django.db import transaction

from kernel.audit import note_use
from tenants.models import User


@transaction.atomic
def unlock_user(*, user: User) -> bool:
    """Unlock a user for all client addresses. Return whether there was a lock."""
    forgotten: int = reset(username=user.get_username())
    if forgotten:
        note_use(user, act="sign-in", detail="unlocked")
    return forgotten > 0
