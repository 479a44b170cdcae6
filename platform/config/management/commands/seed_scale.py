"""`manage.py seed_scale`: creates a large installation in an empty database, to measure pages."""

from dataclasses import fields
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from config.scale_rows import Sizes
from config.scale_seed import is_empty, seed_scale


class Command(BaseCommand):
    help = "Create a large installation in an empty test database. Refused if tenants exist."

    def add_arguments(self, parser: CommandParser) -> None:
        for field in fields(Sizes):
            option = f"--{field.name.replace('_', '-')}"
            parser.add_argument(option, type=int, default=field.default, help="%(default)s rows")

    def handle(self, **options: Any) -> None:
        sizes = Sizes(**{field.name: options[field.name] for field in fields(Sizes)})
        if not sizes.are_possible:
            raise CommandError(
                "There must be at least two tenants, and at least one key for each tenant."
            )
        if not is_empty():
            raise CommandError(
                "This database has tenants or usage. Create an empty one for measurements, set "
                "DATABASE_URL to it, and run `manage.py migrate` there first."
            )
        began = timezone.now()

        def report(line: str) -> None:
            seconds = (timezone.now() - began).total_seconds()
            self.stdout.write(f"{seconds:6.1f} s  {line}")

        seed_scale(sizes, now=began, report=report)
