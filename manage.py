#!/usr/bin/env python
"""Run Tenantry's management commands."""

import os
import sys
from pathlib import Path

BARE_COMMANDS = {
    *("up", "gateway", "agent_node", "serve_model", "scale_host", "doctor", "demo_cluster")
}
"""Commands that must work before, or without, a database and secrets."""


def main() -> None:
    """Put the source root `platform/` on the path and hand over to Django."""
    if sys.version_info < (3, 11):  # noqa: UP036 - the sentence is for whoever has an older one
        sys.exit("Tenantry needs Python 3.11 or newer. Install it and run this again with it.")
    # Position 1: the checkout itself stays first. `platform/` must never be a package (ADR 0001).
    sys.path.insert(1, str(Path(__file__).resolve().parent / "platform"))
    if set(sys.argv[1:2]) & BARE_COMMANDS:
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.standalone"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.console")
    try:
        from django.core.management import execute_from_command_line

        from config.error_exit import exit_on_configuration_error
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not installed. `make run` installs everything that is needed.")
    with exit_on_configuration_error():
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
