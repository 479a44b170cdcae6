"""The command lines of the stack's processes."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from embedded.options import StartOptions
from embedded.servers.model import find_model
from embedded.servers.server import Server
from embedded.supervisor import WATCH, Program

MODEL = "smollm2"
CONCURRENCY = 4
PYTHON = sys.executable
OWN_SETTINGS = "DJANGO_SETTINGS_MODULE"
"""`up` runs on settings of its own; every child chooses those of its plane."""


def stack_programs(
    plan: StartOptions, *, servers: Iterable[Server], reaper_pid: int, started: float
) -> list[Program]:
    """Everything that runs under the supervisor."""
    return [
        console(plan),
        manage("gateway", "gateway"),
        manage("model", *model_arguments(plan)),
        celery_worker("worker", queue="critical"),
        celery_worker("worker-default", queue="celery"),
        celery("beat", "--schedule", str(plan.home.beat_schedule), "--pidfile="),
        watch(plan, servers=servers, reaper_pid=reaper_pid, started=started),
    ]


def console(plan: StartOptions) -> Program:
    address = ("-b", plan.bind, "-p", str(plan.console_port))
    command = (PYTHON, "-m", "daphne", *address, "config.asgi:application")
    return Program(name="console", command=command)


def manage(name: str, *arguments: str) -> Program:
    return Program(name=name, command=(PYTHON, "manage.py", *arguments))


def celery(kind: str, *arguments: str) -> Program:
    command = (PYTHON, "-m", "celery", "-A", "config.celery", kind, "-l", "INFO", *arguments)
    return Program(name=kind, command=command, after_ready=True)


def celery_worker(name: str, *, queue: str) -> Program:
    """Each queue has a worker of its own: short work does not wait behind long work."""
    options = ("-Q", queue, "-n", f"{name}@%h", "--concurrency", "2")
    program = celery("worker", *options, "--without-mingle", "--without-gossip")
    return replace(program, name=name)


def model_arguments(plan: StartOptions) -> tuple[str, ...]:
    options = {
        "--engine": "llamacpp",
        "--model": find_model(),
        "--port": plan.engine_port,
        "--console": f"http://127.0.0.1:{plan.console_port}",
        "--max-concurrency": CONCURRENCY,
        "--drain-seconds": f"{plan.drain_seconds:g}",
    }
    flat = (str(part) for option in options.items() for part in option)
    return ("serve_model", MODEL, *flat)


def watch(
    plan: StartOptions, *, servers: Iterable[Server], reaper_pid: int, started: float
) -> Program:
    watched = [f"{server.name}:{server.pid}:{server.log}" for server in servers]
    watched.append(f"reaper:{reaper_pid}:")
    command = (
        *(PYTHON, "-m", "embedded.monitor"),
        *(part for text in watched for part in ("--process", text)),
        *("--demo", str(plan.home.demo), "--started", f"{started:.1f}"),
    )
    return Program(name=WATCH, command=command)


def child_environment(
    plan: StartOptions, *, stack: Mapping[str, str], path: Iterable[Path]
) -> dict[str, str]:
    """The caller's environment, completed by the stack's; the caller's own settings win."""
    callers = {name: value for name, value in plan.environment.items() if name != OWN_SETTINGS}
    return {
        **stack,
        **callers,
        "DATABASE_URL": stack["DATABASE_URL"],
        "REDIS_URL": stack["REDIS_URL"],
        "TENANTRY_HOME": str(plan.home.path),
        "TENANTRY_JOIN_TOKEN_FILE": str(plan.home.join_token),
        "PYTHONPATH": ":".join(str(part) for part in path),
        "PYTHONUNBUFFERED": "1",
    }
