"""One run of the embedded stack, from the check of the ports to the end of the last process."""

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
from embedded.lock import acquire_lock
from embedded.options import StartOptions
from embedded.preflight import require_free_space
from embedded.programs import child_environment, stack_programs
from embedded.progress import step
from embedded.reaper import MARKER, Reaper, start_reaper
from embedded.servers.external import require_database, require_redis
from embedded.servers.ports import Port, claimed_ports, stack_ports
from embedded.servers.postgres import start_postgres
from embedded.servers.server import ServerProgram, stop_server
from embedded.servers.valkey import start_valkey
from embedded.stack_secrets import ensure_secrets
from embedded.supervisor import Ending, run_programs
from kernel.env_file import write_env_file

LEAVE_SECONDS = "0.1"
"""Delay of a gateway's shutdown for load balancers; short, because the stack has none."""
STOP_MARGIN_SECONDS = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """The addresses of PostgreSQL and Redis, and those servers that the stack started itself."""

    database_url: str
    redis_url: str
    servers: tuple[ServerProgram, ...]


def run_stack(options: StartOptions) -> int:
    """Start the stack, run it until it is stopped, and return the exit code.

    Raises CannotStart.
    """
    started = time.time()
    options.home.create()
    stack_id = os.environ.get(MARKER, "")
    if not stack_id.startswith(f"{os.getpid()}-"):
        restart_with_marker()
    with ExitStack() as cleanup:
        lock = cleanup.enter_context(acquire_lock(options.home.lock, owner=os.getpid()))
        require_free_space(options.home.path)
        cleanup.enter_context(claimed_ports(ports_of(options), home=options.home.path))
        require_external(options)
        # From here on SIGTERM must run the cleanup of the exit stack.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        reaper = start_reaper(stack_id, held_open=(lock.fileno(),))
        cleanup.callback(reaper.finish)
        databases = cleanup.enter_context(running_databases(options))
        ending = run_on(databases, options=options, reaper=reaper, started=started)
    return report(ending, options=options)


def restart_with_marker() -> None:
    """Execute this process again with the marker in its environment.

    The kernel reports the initial environment of a process, also for its forks.
    """
    marked = {**os.environ, MARKER: f"{os.getpid()}-{uuid4().hex}"}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], marked)  # noqa: S606 - this program


def ports_of(options: StartOptions) -> list[Port]:
    return stack_ports(
        bind=options.bind,
        console=options.console_port,
        gateway=options.gateway_port,
        engine=options.engine_port,
        node=options.node_port,
    )


def require_external(options: StartOptions) -> None:
    """Raise CannotStart unless the external servers, if any, can be used."""
    if options.database_url:
        require_database(options.database_url)
    if options.redis_url:
        require_redis(options.redis_url)


@contextmanager
def running_databases(options: StartOptions) -> Iterator[Databases]:
    """Provide PostgreSQL and Valkey, external or embedded; embedded ones are stopped at the end."""
    with ExitStack() as cleanup:
        servers: list[ServerProgram] = []
        database_url, redis_url = options.database_url, options.redis_url
        if not database_url:
            with step("Starting PostgreSQL"):
                servers.append(start_postgres(options.home.postgres))
            options.home.keep_private()
            cleanup.callback(stop_server, servers[-1])
            database_url = servers[-1].url
        if not redis_url:
            with step("Starting Valkey"):
                password = ensure_secrets(options.home.secrets)["TENANTRY_VALKEY_PASSWORD"]
                servers.append(start_valkey(options.home.valkey, password=password))
            cleanup.callback(stop_server, servers[-1])
            redis_url = servers[-1].url
        yield Databases(database_url=database_url, redis_url=redis_url, servers=tuple(servers))


def run_on(
    databases: Databases, *, options: StartOptions, reaper: Reaper, started: float
) -> Ending:
    """Migrate, seed, and run all processes until the end."""
    stack = stack_values(databases, options=options)
    about = "Written at every start of the embedded stack. The environment has precedence."
    write_env_file(options.home.stack, stack, about=about)
    path = (options.checkout, options.checkout / "platform")
    environment = child_environment(options, stack=stack, path=path)
    with step("Migrating and seeding the database"):
        manage("prepare_demo", options=options, environment=environment)
    print("Starting console, gateway and the local model …", flush=True)
    return run_programs(
        stack_programs(options, servers=databases.servers, reaper_pid=reaper.pid, started=started),
        environment=environment,
        folder=options.checkout,
        logs=options.home.logs,
        stop_seconds=options.drain_seconds + STOP_MARGIN_SECONDS,
    )


def stack_values(databases: Databases, *, options: StartOptions) -> dict[str, str]:
    return {
        **ensure_secrets(options.home.secrets),
        "DATABASE_URL": databases.database_url,
        "REDIS_URL": databases.redis_url,
        "TENANTRY_ENVIRONMENT": "embedded",
        "TENANTRY_LOG_FORMAT": "text",
        "TENANTRY_CONSOLE_PORT": str(options.console_port),
        "TENANTRY_GATEWAY_PORT": str(options.gateway_port),
        "TENANTRY_ENGINE_PORT": str(options.engine_port),
        "TENANTRY_NODE_PORT": str(options.node_port),
        "TENANTRY_CONSOLE_URL": options.console_url,
        "TENANTRY_GATEWAY_URL": options.gateway_url,
        "TENANTRY_DRAIN_SECONDS": f"{options.drain_seconds:g}",
        "TENANTRY_LEAVE_SECONDS": LEAVE_SECONDS,
    }


def manage(*arguments: str, options: StartOptions, environment: Mapping[str, str]) -> None:
    """Run a management command. Raises CannotStart with the end of its output."""
    outcome = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=options.checkout,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    log = options.home.logs / f"{arguments[0]}.log"
    log.write_text(outcome.stdout, encoding="utf-8")
    if outcome.returncode:
        output = "\n".join(f"  | {line}" for line in outcome.stdout.splitlines()[-15:])
        raise CannotStart(
            f"`manage.py {' '.join(arguments)}` failed with exit code {outcome.returncode}:\n"
            f"{output}\nThe complete output is in {log}"
        )


def report(ending: Ending, *, options: StartOptions) -> int:
    """Print how the stack ended, and return the exit code."""
    if ending.crash is None:
        print("Stopped.", flush=True)
        # A requested stop is a success, whichever signal requested it.
        return 0
    print(f"\n{ending.crash.message(options.home.logs)}", file=sys.stderr, flush=True)
    return ending.exit_code
