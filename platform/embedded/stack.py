"""One start of the embedded stack, from looking at the ports to the last process's end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from uuid import uuid4

from embedded.errors import CannotStart
from embedded.lock import take_lock
from embedded.options import StartOptions
from embedded.preflight import require_free_space
from embedded.programs import child_environment, stack_programs
from embedded.progress import step
from embedded.reaper import MARKER, Reaper, start_reaper
from embedded.servers.external import require_database, require_redis
from embedded.servers.ports import Port, claimed_ports, stack_ports
from embedded.servers.postgres import start_postgres
from embedded.servers.server import Server, stop_server
from embedded.servers.valkey import start_valkey
from embedded.stack_secrets import ensure_secrets
from embedded.supervisor import Ending, run_programs
from kernel.env_file import write_env_file

LEAVE_SECONDS = "0.1"
"""For load balancers to notice that a gateway leaves; there is none in front of this one."""
STOP_MARGIN_SECONDS = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """The two addresses the stack works on, and the servers of them that are ours."""

    database_url: str
    redis_url: str
    servers: tuple[Server, ...]


def run_stack(plan: StartOptions) -> int:
    """Start everything, keep it running, stop it; returns the exit code. Raises CannotStart."""
    started = time.time()
    plan.home.create()
    stack_id = os.environ.get(MARKER, "")
    if not stack_id.startswith(f"{os.getpid()}-"):
        start_again_with_marker()
    with ExitStack() as cleanup:
        lock = cleanup.enter_context(take_lock(plan.home.lock, owner=os.getpid()))
        require_free_space(plan.home.path)
        cleanup.enter_context(claimed_ports(ports_of(plan), home=plan.home.path))
        require_external(plan)
        # A request to stop must pass through the cleanup below from here on.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        reaper = start_reaper(stack_id, held_open=(lock.fileno(),))
        cleanup.callback(reaper.finish)
        databases = cleanup.enter_context(running_databases(plan))
        ending = run_on(databases, plan=plan, reaper=reaper, started=started)
    return report(ending, plan=plan)


def start_again_with_marker() -> None:
    """Replace this process by itself with the marker in its environment.

    The kernel shows the environment a process was started with, and honcho's helpers are forks.
    """
    marked = {**os.environ, MARKER: f"{os.getpid()}-{uuid4().hex}"}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], marked)  # noqa: S606 - ourselves


def ports_of(plan: StartOptions) -> list[Port]:
    return stack_ports(
        bind=plan.bind,
        console=plan.console_port,
        gateway=plan.gateway_port,
        engine=plan.engine_port,
    )


def require_external(plan: StartOptions) -> None:
    """Raises CannotStart unless the servers that the caller brings can be used."""
    if plan.database_url:
        require_database(plan.database_url)
    if plan.redis_url:
        require_redis(plan.redis_url)


@contextmanager
def running_databases(plan: StartOptions) -> Iterator[Databases]:
    """PostgreSQL and Valkey, the caller's or our own; our own are stopped at the end."""
    with ExitStack() as cleanup:
        servers: list[Server] = []
        database_url, redis_url = plan.database_url, plan.redis_url
        if not database_url:
            with step("Starting PostgreSQL"):
                servers.append(start_postgres(plan.home.postgres))
            plan.home.keep_private()
            cleanup.callback(stop_server, servers[-1])
            database_url = servers[-1].url
        if not redis_url:
            with step("Starting Valkey"):
                password = ensure_secrets(plan.home.secrets)["TENANTRY_VALKEY_PASSWORD"]
                servers.append(start_valkey(plan.home.valkey, password=password))
            cleanup.callback(stop_server, servers[-1])
            redis_url = servers[-1].url
        yield Databases(database_url=database_url, redis_url=redis_url, servers=tuple(servers))


def run_on(databases: Databases, *, plan: StartOptions, reaper: Reaper, started: float) -> Ending:
    """Migrate, seed, and run all processes until the end."""
    stack = stack_values(databases, plan=plan)
    about = "Written at every start of the embedded stack. The environment has precedence."
    write_env_file(plan.home.stack, stack, about=about)
    path = (plan.checkout, plan.checkout / "platform")
    environment = child_environment(plan, stack=stack, path=path)
    with step("Migrating and seeding the database"):
        manage("prepare_demo", plan=plan, environment=environment)
    print("Starting console, gateway and the local model …", flush=True)
    return run_programs(
        stack_programs(plan, servers=databases.servers, reaper_pid=reaper.pid, started=started),
        environment=environment,
        folder=plan.checkout,
        logs=plan.home.logs,
        stop_seconds=plan.drain_seconds + STOP_MARGIN_SECONDS,
    )


def stack_values(databases: Databases, *, plan: StartOptions) -> dict[str, str]:
    return {
        **ensure_secrets(plan.home.secrets),
        "DATABASE_URL": databases.database_url,
        "REDIS_URL": databases.redis_url,
        "TENANTRY_ENVIRONMENT": "embedded",
        "TENANTRY_LOG_FORMAT": "text",
        "TENANTRY_CONSOLE_PORT": str(plan.console_port),
        "TENANTRY_GATEWAY_PORT": str(plan.gateway_port),
        "TENANTRY_ENGINE_PORT": str(plan.engine_port),
        "TENANTRY_CONSOLE_URL": plan.console_url,
        "TENANTRY_GATEWAY_URL": plan.gateway_url,
        "TENANTRY_DRAIN_SECONDS": f"{plan.drain_seconds:g}",
        "TENANTRY_LEAVE_SECONDS": LEAVE_SECONDS,
    }


def manage(*arguments: str, plan: StartOptions, environment: Mapping[str, str]) -> None:
    """Run a management command to its end. Raises CannotStart with what it said."""
    outcome = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=plan.checkout,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    log = plan.home.logs / f"{arguments[0]}.log"
    log.write_text(outcome.stdout, encoding="utf-8")
    if outcome.returncode:
        said = "\n".join(f"  | {line}" for line in outcome.stdout.splitlines()[-15:])
        raise CannotStart(
            f"`manage.py {' '.join(arguments)}` failed with exit code {outcome.returncode}:\n"
            f"{said}\nAll of it is in {log}"
        )


def report(ending: Ending, *, plan: StartOptions) -> int:
    """Say how it ended, and return the exit code."""
    if ending.crash is None:
        print("Stopped.", flush=True)
        # Stopping on request is what was wanted, whatever the signal.
        return 0
    print(f"\n{ending.crash.sentence(plan.home.logs)}", file=sys.stderr, flush=True)
    return ending.exit_code
