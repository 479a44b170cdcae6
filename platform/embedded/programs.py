"""The command lines of the stack's processes."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from embedded.options import StartOptions
from embedded.servers.model import find_model
from embedded.servers.server import ServerProgram
from embedded.supervisor import WATCH, Program

MODEL = "smollm2"
CONCURRENCY = 4
PYTHON = sys.executable
CELERY = (PYTHON, "-m", "celery", "-A", "config.celery", "--quiet")
"""Without Celery's banner, which is not JSON. `TENANTRY_LOG_LEVEL` is the level of its logs."""
QUIET = ("-v", "0")
"""Without Daphne's own access lines, which are not JSON and repeat the audit log."""
OWN_SETTINGS = "DJANGO_SETTINGS_MODULE"
"""Not inherited: `up` has its own settings module, and each child selects its own."""


def stack_programs(
    options: StartOptions, *, servers: Iterable[ServerProgram], reaper_pid: int, started: float
) -> list[Program]:
    """Return all programs that run under the supervisor."""
    return [
        console(options),
        manage("gateway", "gateway"),
        manage("model", *model_arguments(options)),
        replace(manage("node", "agent_node"), after_ready=True),
        celery_worker("worker", queue="critical"),
        celery_worker("worker-default", queue="celery"),
        celery("beat", "--schedule", str(options.home.beat_schedule), "--pidfile="),
        watch(options, servers=servers, reaper_pid=reaper_pid, started=started),
    ]


def console(options: StartOptions) -> Program:
    address = ("-b", options.bind, "-p", str(options.console_port))
    command = (PYTHON, "-m", "daphne", *QUIET, *address, "config.asgi:application")
    return Program(name="console", command=command)


def manage(name: str, *arguments: str) -> Program:
    return Program(name=name, command=(PYTHON, "manage.py", *arguments))


def celery(kind: str, *arguments: str) -> Program:
    command = (*CELERY, kind, *arguments)
    return Program(name=kind, command=command, after_ready=True)


def celery_worker(name: str, *, queue: str) -> Program:
    """Return a worker for one queue: each has its own, so long tasks do not delay short ones."""
    arguments = ("-Q", queue, "-n", f"{name}@%h", "--concurrency", "2")
    program = celery("worker", *arguments, "--without-mingle", "--without-gossip")
    return replace(program, name=name)


def model_arguments(options: StartOptions) -> tuple[str, ...]:
    arguments = {
        "--engine": "llamacpp",
        "--model": find_model(),
        "--port": options.engine_port,
        "--console": f"http://127.0.0.1:{options.console_port}",
        "--max-concurrency": CONCURRENCY,
        "--drain-seconds": f"{options.drain_seconds:g}",
    }
    flat = (str(part) for option in arguments.items() for part in option)
    return ("serve_model", MODEL, *flat)


def watch(
    options: StartOptions, *, servers: Iterable[ServerProgram], reaper_pid: int, started: float
) -> Program:
    watched = [f"{server.name}:{server.pid}:{server.log}" for server in servers]
    watched.append(f"reaper:{reaper_pid}:")
    command = (
        *(PYTHON, "-m", "embedded.monitor"),
        *(part for text in watched for part in ("--process", text)),
        *("--demo", str(options.home.demo), "--started", f"{started:.1f}"),
    )
    return Program(name=WATCH, command=command)


def child_environment(
    options: StartOptions, *, stack: Mapping[str, str], path: Iterable[Path]
) -> dict[str, str]:
    """Return the stack's environment, overridden by the caller's except for fixed values."""
    callers = {name: value for name, value in options.environment.items() if name != OWN_SETTINGS}
    return {
        **stack,
        **callers,
        "DATABASE_URL": stack["DATABASE_URL"],
        "REDIS_URL": stack["REDIS_URL"],
        "TENANTRY_HOME": str(options.home.path),
        "TENANTRY_JOIN_TOKEN_FILE": str(options.home.join_token),
        "TENANTRY_NODE_TOKEN_FILE": str(options.home.node_token),
        "PYTHONPATH": ":".join(str(part) for part in path),
        "PYTHONUNBUFFERED": "1",
    }
