"""`manage.py serve_model`: start an engine and keep it registered.

Runs where the GPU is. It needs the console's address and a join token, and neither the database
nor any other secret of the platform.
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
        parser.add_argument("route", help="Name under which the gateway asks for the model.")
        parser.add_argument("--engine", choices=sorted(ENGINES), default="vllm")
        parser.add_argument("--model", required=True, help="File, folder or name of the model.")
        parser.add_argument("--host", default="127.0.0.1", help="Address to listen on; private.")
        parser.add_argument("--port", type=int, default=8090)
        parser.add_argument("--address", help="Where gateways reach it; else host and port.")
        parser.add_argument(
            "--console", default=os.environ.get("TENANTRY_CONSOLE_URL") or "http://127.0.0.1:8000"
        )
        parser.add_argument("--max-concurrency", type=int, help="Requests answered at a time.")
        parser.add_argument("--weight", type=int, default=1, help="Its share of the requests.")
        parser.add_argument("--zone", default="", help="Where it stands, for people.")
        parser.add_argument(
            "--capability",
            action="append",
            default=[],
            dest="capabilities",
            help="Such as tools or vision; may be repeated.",
        )
        parser.add_argument(
            "--tensor-parallel", type=int, default=1, help="GPUs over which vLLM spreads the model."
        )
        parser.add_argument(
            "--drain-seconds",
            help="How long requests may take to finish at the end.",
            type=float,
            default=600.0,
        )
        parser.add_argument("--ready-file", type=Path, help="Exists while registered.")
        parser.add_argument(
            "--vllm-python",
            default=os.environ.get("TENANTRY_VLLM_PYTHON", ""),
            help="Interpreter of the environment that has vLLM; else the one of `vllm`.",
        )
        parser.add_argument(
            "--engine-option",
            action="append",
            default=[],
            dest="options",
            metavar="OPTION",
            help="Passed to the engine; or write all of them behind `--`.",
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
    """What stands behind `--`, as one `--engine-option` each.

    argparse would fill an optional list of positionals as soon as it meets the route, with none.
    """
    end = [*argv, "--"].index("--")
    return [*argv[:end], *(f"--engine-option={option}" for option in argv[end + 1 :])]


def read_service(given: Mapping[str, Any], *, environ: Mapping[str, str]) -> Service:
    """What the command line and the environment ask for. Raises CommandError."""
    engine = ENGINES[given["engine"]]
    ensure_fit(engine, given)
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
    warn_of_public(request)
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


def ensure_fit(engine: Engine, given: Mapping[str, Any]) -> None:
    """Raises CommandError for options that would undo what this command promises."""
    passed = {option.split("=", 1)[0] for option in given["options"]}
    if clash := sorted(passed & engine.reserved):
        raise CommandError(
            f"{', '.join(clash)} cannot be passed on: serve_model sets it. Use its own options, "
            "in front of `--`."
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
    """What was named, and what we know of the engine."""
    known = ("priority",) if engine is VLLM and orders_by_priority(request.options) else ()
    return tuple(dict.fromkeys((*known, *named)))


def warn_of_public(request: EngineRequest) -> None:
    """A vLLM asks for its key on some of its paths only; the rest is for all who reach it."""
    try:
        address = ip_address(request.host)
    except ValueError:
        return  # a name; the operator knows what it means
    if address.is_global or address.is_unspecified:
        logger.warning(
            "listening on %s, which is not private: see to it that only gateways and the console "
            "reach port %d",
            request.host,
            request.port,
        )


def read_join_token(environ: Mapping[str, str]) -> str:
    """From TENANTRY_JOIN_TOKEN, or the file that TENANTRY_JOIN_TOKEN_FILE names."""
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
