"""`manage.py scale_host`: run as many engines on this machine as the pool's policy orders.

Like `serve_model` it runs on the machine with the GPUs, and needs the console's address and a join
token.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from inference.engines.replica_manager import HostRefused, ReplicaManager, Slot, python_command, run
from inference.management.commands.serve_model import read_join_token

MAX_SLOTS = 64


class Command(BaseCommand):
    help = "Run as many engines on this machine as the pool's scaling policy orders."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "route", help="Name of the model route. Options of serve_model follow after `--`."
        )
        parser.add_argument(
            "--slots", type=int, help="Maximum number of engines; default: one per GPU."
        )
        parser.add_argument(
            "--port", type=int, default=8100, help="Port of the first engine; others count up."
        )
        parser.add_argument("--host", default="127.0.0.1", help="Address that engines listen on.")
        parser.add_argument("--gpus", default="", help="Indices of the GPUs, such as 0,1,2.")
        parser.add_argument("--gpus-each", type=int, default=1, help="GPUs per engine.")
        parser.add_argument(
            "--console", default=os.environ.get("TENANTRY_CONSOLE_URL") or "http://127.0.0.1:8000"
        )
        parser.add_argument("--option", action="append", default=[], dest="passed")

    def run_from_argv(self, argv: list[str]) -> None:
        end = [*argv, "--"].index("--")
        # One argument each: they look like options of this command, and may contain a `--`.
        passed = [f"--option={option}" for option in argv[end + 1 :]]
        super().run_from_argv([*argv[:end], *passed])

    def handle(self, **given: Any) -> None:
        host = ReplicaManager(read_slots(given, environ=os.environ))
        token = read_join_token(os.environ)
        try:
            asyncio.run(run(host, url=given["console"], token=token, name=socket.gethostname()))
        except HostRefused as error:
            sys.exit(str(error))


def read_slots(given: Mapping[str, Any], *, environ: Mapping[str, str]) -> list[Slot]:
    """Return one slot per engine. Raises CommandError."""
    groups = group_devices(given["gpus"], each=given["gpus_each"])
    count = given["slots"] or len(groups) or 1
    if not 1 <= count <= MAX_SLOTS:
        raise CommandError(f"--slots must be between 1 and {MAX_SLOTS}.")
    if groups and count > len(groups):
        raise CommandError(
            f"--slots is {count}, but the GPUs suffice for {len(groups)} engines: omit --slots, or "
            "add GPUs."
        )
    return [slot_of(number, given, groups, environ=environ) for number in range(count)]


def slot_of(
    number: int,
    given: Mapping[str, Any],
    groups: Sequence[Sequence[str]],
    *,
    environ: Mapping[str, str],
) -> Slot:
    port = given["port"] + number
    devices = {"CUDA_VISIBLE_DEVICES": ",".join(groups[number])} if groups else {}
    return Slot(
        number=number,
        address=f"http://{given['host']}:{port}",
        arguments=python_command(
            *("serve_model", given["route"], "--host", given["host"], "--port", str(port)),
            *("--console", given["console"], *given["passed"]),
        ),
        environment={**environ, **devices},
    )


def group_devices(devices: str, *, each: int) -> list[list[str]]:
    """Return the device indices in groups of `each`. Raises CommandError."""
    indices = [part.strip() for part in devices.split(",") if part.strip()]
    if not all(index.isdigit() for index in indices) or len(set(indices)) != len(indices):
        raise CommandError("--gpus must be a list of different device indices, such as 0,1,2.")
    if each < 1 or len(indices) % each:
        raise CommandError(f"{len(indices)} GPUs cannot be divided into groups of {each}.")
    return [indices[start : start + each] for start in range(0, len(indices), each)]
