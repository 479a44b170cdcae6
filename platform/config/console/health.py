"""Liveness and readiness of the console, and the checks that console and gateway share."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, JsonResponse

from config.worker_heartbeat import DEFAULT_HEARTBEAT_KEY, heartbeat_age
from kernel.health import Check, failure_name
from kernel.storage.database import close_database_connection, ensure_writable
from kernel.storage.postgres import limited_statements
from kernel.storage.redis import READY_KEY, READY_KEY_SECONDS, connect

MAX_HEARTBEAT_AGE_SECONDS = 60
MAX_DEFAULT_HEARTBEAT_AGE_SECONDS = 300
CHECK_SECONDS = 1.5
"""Timeout of all checks together."""


def timed(probe: Callable[[], None], *, failures: tuple[type[Exception], ...]) -> Check:
    """Return the result and the latency of `probe`."""
    started = time.monotonic()
    try:
        probe()
    except failures as error:
        return Check(status="down", detail=failure_name(error))
    return Check(status="up", latency_ms=round((time.monotonic() - started) * 1000, 2))


def check_database() -> Check:
    """Check whether PostgreSQL answers and accepts writes."""
    return timed(probe_database, failures=(DatabaseError, InterfaceError))


def probe_database() -> None:
    try:
        with limited_statements(timeout_seconds=CHECK_SECONDS):
            ensure_writable()
    finally:
        # This may be a separate thread, whose connection is not closed by Django.
        close_database_connection()


def check_cache() -> Check:
    """Check whether Redis answers and accepts writes; a full or demoted one does not."""
    return timed(write_to_redis, failures=(redis.RedisError, OSError))


def write_to_redis() -> None:
    with connect(settings.REDIS_URL, timeout=CHECK_SECONDS / 2) as client:
        client.set(READY_KEY, b"", ex=READY_KEY_SECONDS)


def check_worker() -> Check:
    """Check whether Celery consumes both queues. Without workers the console is still ready."""
    try:
        age, default_age = heartbeat_age(), heartbeat_age(DEFAULT_HEARTBEAT_KEY)
    except (redis.RedisError, OSError) as error:
        return Check(status="unknown", detail=error.__class__.__name__)
    if age is None or age > MAX_HEARTBEAT_AGE_SECONDS:
        return Check(status="down", detail="no task was consumed in the last minute")
    # None: the first heartbeat comes a minute after the start.
    if default_age is not None and default_age > MAX_DEFAULT_HEARTBEAT_AGE_SECONDS:
        return Check(status="down", detail="no task of the default queue was consumed for minutes")
    return Check(status="up", detail=f"last task {age:.0f} s ago")


def alive(request: HttpRequest) -> JsonResponse:
    """Respond to a liveness probe."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """Respond to a readiness probe, with the state and latency of each dependency."""
    checks = run_checks(database=check_database, cache=check_cache, worker=check_worker)
    is_ready = all(checks[name].status == "up" for name in ("database", "cache"))
    body = {
        "status": "ready" if is_ready else "not ready",
        "checks": {name: asdict(check) for name, check in checks.items()},
    }
    return JsonResponse(body, status=200 if is_ready else 503)


def run_checks(**checks: Callable[[], Check]) -> dict[str, Check]:
    """Run each check in a thread. One that takes too long counts as down."""
    threads = ThreadPoolExecutor(max_workers=len(checks), thread_name_prefix="health")
    running = {name: threads.submit(check) for name, check in checks.items()}
    # Not awaited: a thread that hangs ends by the timeouts of its own connection.
    threads.shutdown(wait=False)
    wait(running.values(), timeout=CHECK_SECONDS)
    return {
        name: check.result() if check.done() else Check(status="down", detail="TimeoutError")
        for name, check in running.items()
    }
