"""The checks of `manage.py doctor`. Each is a function that returns a finding."""

import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

from config.env import Environment, read_env_file
from kernel.logs import redact
from kernel.storage.redis import connect

CHECKOUT = Path(__file__).resolve().parents[2]
SLOW_SECONDS = 0.05
CLOCK_SECONDS = 2.0
MIN_FREE_BYTES = 1_000_000_000
MIN_POSTGRES_VERSION = 140_000
MIN_REDIS_VERSION = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of a check; `advice` is printed if it is not good."""

    about: str
    is_good: bool
    detail: str
    advice: str = ""


def diagnose(values: Mapping[str, str]) -> list[Finding]:
    """Return all findings about the installation that the environment describes."""
    home = Path(values.get("TENANTRY_HOME") or CHECKOUT / ".tenantry")
    env = Environment({**read_env_file(home / "stack.env"), **values})
    database = env.url(
        "DATABASE_URL", default="", schemes=("postgresql", "postgres"), description=""
    )
    cache = env.url("REDIS_URL", default="", schemes=("redis", "rediss", "unix"), description="")
    return [
        check_python(),
        check_disk(home if home.exists() else CHECKOUT),
        *check_database(database),
        check_redis(cache),
        *check_gpus(),
    ]


def check_python() -> Finding:
    return Finding(
        about="Python",
        is_good=sys.version_info >= (3, 11),
        detail=f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        advice="Tenantry needs Python 3.11 or newer.",
    )


def check_disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    return Finding(
        about="Disk",
        is_good=free > MIN_FREE_BYTES,
        detail=f"{free / 1e9:.1f} GB free at {folder}",
        advice="Free some space, or set TENANTRY_HOME to a folder on another disk.",
    )


def check_database(url: str) -> list[Finding]:
    """Check version, latency and clock of PostgreSQL."""
    if not url:
        advice = "Set DATABASE_URL, or start the embedded stack with `make run`."
        return [Finding(about="PostgreSQL", is_good=False, detail="not configured", advice=advice)]
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            started = time.monotonic()
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
            latency = time.monotonic() - started
            version = connection.info.server_version
    except psycopg.Error as error:
        detail = " ".join(redact(str(error).replace("\n", " ")).split())
        advice = "Check that the server is running and that DATABASE_URL is correct."
        return [Finding(about="PostgreSQL", is_good=False, detail=detail, advice=advice)]
    assert row is not None
    return [
        Finding(
            about="PostgreSQL",
            is_good=latency < SLOW_SECONDS and version >= MIN_POSTGRES_VERSION,
            detail=f"{version // 10_000}.{version % 10_000}, {latency * 1000:.1f} ms",
            advice="Use PostgreSQL 14 or newer, in the same network: aim below 50 ms.",
        ),
        check_clock(float(row[0]) - time.time()),
    ]


def check_clock(offset: float) -> Finding:
    return Finding(
        about="Clock",
        is_good=abs(offset) < CLOCK_SECONDS,
        detail=f"{offset:+.2f} s from PostgreSQL's",
        advice="Quota windows and expiries rely on it: synchronise both machines with NTP.",
    )


def check_redis(url: str) -> Finding:
    if not url:
        advice = "Set REDIS_URL, or start the embedded stack with `make run`."
        return Finding(about="Redis", is_good=False, detail="not configured", advice=advice)
    try:
        with connect(url) as client:
            facts = client.info()
            started = time.monotonic()
            client.ping()
            latency = time.monotonic() - started
    except (redis.RedisError, OSError) as error:
        advice = "Check that the server is running and that REDIS_URL is correct."
        return Finding(about="Redis", is_good=False, detail=redact(str(error)), advice=advice)
    version = str(facts["redis_version"])
    policy = str(facts["maxmemory_policy"])
    return Finding(
        about="Redis",
        is_good=int(version.split(".", 1)[0]) >= MIN_REDIS_VERSION
        and latency < SLOW_SECONDS
        and policy == "noeviction",
        detail=f"{version}, {latency * 1000:.1f} ms, {policy}",
        advice="Use version 7 or newer in the same network, with maxmemory-policy noeviction.",
    )


def check_gpus() -> list[Finding]:
    """Return one finding per GPU. None is fine: models run elsewhere or on the CPU."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return [Finding(about="GPU", is_good=True, detail="none here (no nvidia-smi)")]
    query = ["--query-gpu=name,driver_version,memory.used,memory.total", "--format=csv,noheader"]
    done = subprocess.run(  # noqa: S603 - found on the operator's own PATH
        [command, *query], check=False, capture_output=True, text=True, timeout=20
    )
    advice = "nvidia-smi fails. Check that the driver is loaded."
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()]
    return [
        Finding(about="GPU", is_good=done.returncode == 0, detail=text, advice=advice)
        for text in lines
    ]
