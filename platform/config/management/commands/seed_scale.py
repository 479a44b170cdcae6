"""`manage.py seed_scale`: a large installation in an empty database, to measure pages with."""

from dataclasses import fields
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from config.scale_rows import Sizes
from config.scale_seed import is_empty, seed_scale


class Command(BaseCommand):
    help = "Fill an empty test database with a large installation. Refuses where tenants exist."

    def add_arguments(self, parser: CommandParser) -> None:
        for field in fields(Sizes):
            option = f"--{field.name.replace('_', '-')}"
            parser.add_argument(option, type=int, default=field.default, help="%(default)s rows")

    def handle(self, **options: Any) -> None:
        sizes = Sizes(**{field.name: options[field.name] for field in fields(Sizes)})
        if not sizes.are_possible:
            raise CommandError(
                "Ask for two tenants or more, and for so many keys that each tenant gets one."
            )
        if not is_empty():
            raise CommandError(
                "This database holds tenants or usage. Make an empty one for measurements, name it "
                "in DATABASE_URL, and run `manage.py migrate` there first."
            )
        began = timezone.now()

        def report(line: str) -> None:
            seconds = (timezone.now() - began).total_seconds()
            self.stdout.write(f"{seconds:6.1f} s  {line}")

        seed_scale(sizes, now=began, report=report)
