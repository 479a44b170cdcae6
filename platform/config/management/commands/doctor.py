"""`manage.py doctor`: checks this installation and gives advice."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand

from config.doctor import Finding, diagnose
from config.error_exit import exit_on_configuration_error

MARKS = {True: "ok  ", False: "FAIL"}


class Command(BaseCommand):
    help = "Check every dependency, the clock, the disk and the GPU, and give advice."
    requires_system_checks = []

    def handle(self, **_: Any) -> None:
        with exit_on_configuration_error():
            findings = diagnose(os.environ)
        for finding in findings:
            self.stdout.write(line(finding))
        if not all(finding.is_good for finding in findings):
            sys.exit(1)


def line(finding: Finding) -> str:
    advice = "" if finding.is_good else f"\n       {finding.advice}"
    return f"{MARKS[finding.is_good]} {finding.about:<12} {finding.detail}{advice}"
