"""`manage.py serve_model`: start an engine and keep it registered.

It runs on the machine with the GPU, and needs the console's address and a join token, but neither
the database nor any other secret of the platform.
"""

import asyncio
import logging
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from inference.engines.engine import Engine, EngineRequest
from inference.engines.llamacpp import LLAMACPP
from inference.engines.serving import (
    EngineFailed,
    EngineMissing,
    RegistrationRefused,
    Service,
    serve,
)
from inference.engines.vllm import VLLM, orders_by_priority

logger = logging.getLogger(__name__)

ENGINES = {engine.name: engine for engine in (VLLM, LLAMACPP)}


class Command(BaseCommand):
    help = "Start an engine for a model route and keep it registered at the console."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("route", help="Name of the model in requests of the gateway.")
        parser.add_argument("--engine", choices=sorted(ENGINES), default="vllm")
        parser.add_argument("--model", required=True, help="File, folder or name of the model.")
        parser.add_argument("--host", default="127.0.0.1", help="Private address to listen on.")
        parser.add_argument("--port", type=int, default=8090)
        parser.add_argument("--address", help="URL for gateways; default: from host and port.")
        parser.add_argument(
            "--console", default=os.environ.get("TENANTRY_CONSOLE_URL") or "http://127.0.0.1:8000"
        )
        parser.add_argument(
            "--max-concurrency", type=int, help="Maximum number of concurrent requests."
        )
        parser.add_argument("--weight", type=int, default=1, help="Relative share of requests.")
        parser.add_argument("--zone", default="", help="Location, displayed in the console.")
        parser.add_argument(
            "--capability",
            action="append",
            default=[],
            dest="capabilities",
            help="A capability such as tools or vision; may be repeated.",
        )
        parser.add_argument(
            "--tensor-parallel", type=int, default=1, help="Tensor parallel size of vLLM, in GPUs."
        )
        parser.add_argument(
            "--drain-seconds",
            help="Maximum time for running requests to finish at shutdown.",
            type=float,
            default=600.0,
        )
        parser.add_argument("--ready-file", type=Path, help="File that exists while registered.")
        parser.add_argument(
            "--vllm-python",
            default=os.environ.get("TENANTRY_VLLM_PYTHON", ""),
            help="Interpreter of the environment with vLLM; default: that of `vllm`.",
        )
        parser.add_argument(
            "--engine-option",
            action="append",
            default=[],
            dest="options",
            metavar="OPTION",
            help="Option for the engine; alternatively all of them after `--`.",
        )

    def run_from_argv(self, argv: list[str]) -> None:
        super().run_from_argv(name_options(argv))

    def handle(self, **given: Any) -> None:
        service = read_service(given, environ=os.environ)
        try:
            asyncio.run(serve(service))
        except (EngineFailed, EngineMissing, RegistrationRefused) as error:
            sys.exit(str(error))


def name_options(argv: Sequence[str]) -> list[str]:
    """Rewrite each argument after `--` as one `--engine-option`.

    A positional list with nargs="*" would not work: argparse fills it, empty, along with the route.
    """
    end = [*argv, "--"].index("--")
    return [*argv[:end], *(f"--engine-option={option}" for option in argv[end + 1 :])]


def read_service(given: Mapping[str, Any], *, environ: Mapping[str, str]) -> Service:
    """Return the service that the command line and environment define. Raises CommandError."""
    engine = ENGINES[given["engine"]]
    ensure_valid_options(engine, given)
    request = EngineRequest(
        route=given["route"],
        model=given["model"],
        host=given["host"],
        port=given["port"],
        max_concurrency=given["max_concurrency"] or engine.default_concurrency,
        credential=secrets.token_urlsafe(32),
        python=given["vllm_python"],
        tensor_parallel=given["tensor_parallel"],
        options=tuple(given["options"]),
    )
    warn_if_public(request)
    return Service(
        engine=engine,
        request=request,
        address=given["address"] or request.address,
        console_url=given["console"],
        join_token=read_join_token(environ),
        ready_file=given["ready_file"],
        drain_seconds=given["drain_seconds"],
        weight=given["weight"],
        zone=given["zone"],
        capabilities=capabilities_of(request, engine=engine, named=given["capabilities"]),
    )


def ensure_valid_options(engine: Engine, given: Mapping[str, Any]) -> None:
    """Raise CommandError for invalid options, and for engine options that this command sets."""
    passed = {option.split("=", 1)[0] for option in given["options"]}
    if clash := sorted(passed & engine.reserved):
        raise CommandError(
            f"{', '.join(clash)} cannot be passed to the engine: serve_model sets it. Use the "
            "options of serve_model, before `--`."
        )
    if given["tensor_parallel"] != 1 and engine is not VLLM:
        raise CommandError("--tensor-parallel is for vLLM only.")
    for name in ("tensor_parallel", "weight"):
        if given[name] < 1:
            raise CommandError(f"--{name.replace('_', '-')} must be 1 or more.")
    if given["drain_seconds"] < 0:
        raise CommandError("--drain-seconds must be 0 or more.")


def capabilities_of(
    request: EngineRequest, *, engine: Engine, named: Sequence[str]
) -> tuple[str, ...]:
    """Return the named capabilities and those that follow from the engine's options."""
    known = ("priority",) if engine is VLLM and orders_by_priority(request.options) else ()
    return tuple(dict.fromkeys((*known, *named)))


def warn_if_public(request: EngineRequest) -> None:
    """Warn of a public address: vLLM checks its API key on some paths only."""
    try:
        address = ip_address(request.host)
    except ValueError:
        return  # a host name, which is not resolved here
    if address.is_global or address.is_unspecified:
        logger.warning(
            "serve_model: the listen address is not private, so restrict access to gateways and "
            "the console (host=%s, port=%d)",
            request.host,
            request.port,
        )


def read_join_token(environ: Mapping[str, str]) -> str:
    """Return the token from TENANTRY_JOIN_TOKEN, or from the file TENANTRY_JOIN_TOKEN_FILE."""
    path = environ.get("TENANTRY_JOIN_TOKEN_FILE")
    try:
        token = Path(path).read_text(encoding="utf-8") if path else ""
    except OSError as error:
        raise CommandError(f"TENANTRY_JOIN_TOKEN_FILE: {path} cannot be read: {error}") from error
    token = (token or environ.get("TENANTRY_JOIN_TOKEN", "")).strip()
    if not token:
        raise CommandError(
            "TENANTRY_JOIN_TOKEN is not set. Issue a join token for the model's pool in the "
            "console (Inference > Model pools) and set the variable, or TENANTRY_JOIN_TOKEN_FILE."
        )
    return token
