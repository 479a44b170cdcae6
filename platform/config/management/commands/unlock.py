"""`manage.py unlock`: unlocks an operator after wrong passwords."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.models import User
from tenants.sign_in_locks import unlock_user


class Command(BaseCommand):
    help = "Unlock a user who was locked out after too many wrong passwords."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *, username: str, **_: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}.")
        word = "may try again" if unlock_user(user=user) else "was not locked out"
        self.stdout.write(f"{username} {word}.")
