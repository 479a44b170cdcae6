"""A pytest plugin: one PostgreSQL for the whole run, one Valkey for each of its processes.

Loaded with `-p`, because the servers must be there before Django's settings are read. Under xdist
the workers share the controller's PostgreSQL (pytest-django gives each a database) and start a
Valkey of their own, since publications of one would reach the subscribers of all.
DATABASE_URL and REDIS_URL, if the caller sets them, are used instead.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

SOURCE_ROOT = Path(__file__).resolve().parents[1] / "platform"
OURS = "TENANTRY_TEST_SERVERS"
"""Names the folder of this run's servers, so that workers know whose REDIS_URL they inherit."""


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    # pytest's own `pythonpath` comes into force after this hook.
    sys.path.insert(0, str(SOURCE_ROOT))
    if "PYTEST_XDIST_WORKER" not in os.environ:
        start_run(early_config)
    elif OURS in os.environ and "REDIS_URL" in os.environ:
        start_worker(os.environ["PYTEST_XDIST_WORKER"])
    return (yield)


def start_run(config: pytest.Config) -> None:
    """Start what the caller does not bring; all of it ends with the run, even a killed one."""
    wanted = {"DATABASE_URL", "REDIS_URL"} - os.environ.keys()
    if not wanted:
        return
    from embedded.preflight import require_wheels
    from embedded.reaper import MARKER, start_reaper

    require_wheels()
    os.environ[MARKER] = f"{os.getpid()}-{uuid4().hex}"
    folder = Path(tempfile.mkdtemp(prefix="tenantry-test-"))
    reaper = start_reaper(os.environ[MARKER])
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    config.add_cleanup(reaper.finish)
    if "DATABASE_URL" in wanted:
        start_database(folder / "postgres")
    if "REDIS_URL" in wanted:
        os.environ[OURS] = str(folder)
        start_cache(folder / "valkey")


def start_worker(name: str) -> None:
    start_cache(Path(os.environ[OURS]) / f"valkey-{name}")


def start_database(folder: Path) -> None:
    from embedded.servers.postgres import disable_durability, start_postgres

    server = start_postgres(folder)
    disable_durability(server.url)
    os.environ["DATABASE_URL"] = server.url


def start_cache(folder: Path) -> None:
    from embedded.servers.valkey import start_valkey

    os.environ["REDIS_URL"] = start_valkey(folder, password=uuid4().hex).url
