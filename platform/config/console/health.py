"""Is it alive, and may it take traffic: the console's answers, and the checks both planes share."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, JsonResponse

from config.worker_heartbeat import DEFAULT_CANARY, heartbeat_age
from kernel.health import Check, failure_name
from kernel.storage.database import ensure_writable, let_go_of_database
from kernel.storage.postgres import limited_statements
from kernel.storage.redis import READY_KEY, READY_KEY_SECONDS, connect

DEAF_SECONDS = 60
DEFAULT_DEAF_SECONDS = 300
CHECK_SECONDS = 1.5
"""For all checks together."""


def timed(probe: Callable[[], None], *, failures: tuple[type[Exception], ...]) -> Check:
    """Whether `probe` succeeds, and how long it takes."""
    started = time.monotonic()
    try:
        probe()
    except failures as error:
        return Check(status="down", detail=failure_name(error))
    return Check(status="up", latency_ms=round((time.monotonic() - started) * 1000, 2))


def check_database() -> Check:
    """Whether it answers and takes writes."""
    return timed(ask_database, failures=(DatabaseError, InterfaceError))


def ask_database() -> None:
    try:
        with limited_statements(timeout_seconds=CHECK_SECONDS):
            ensure_writable()
    finally:
        # This may be a thread of its own.
        let_go_of_database()


def check_cache() -> Check:
    """Whether it answers and takes writes: one that is full or was demoted does not."""
    return timed(write_to_redis, failures=(redis.RedisError, OSError))


def write_to_redis() -> None:
    with connect(settings.REDIS_URL, timeout=CHECK_SECONDS / 2) as client:
        client.set(READY_KEY, b"", ex=READY_KEY_SECONDS)


def check_worker() -> Check:
    """Whether Celery consumes both queues. Not having one yet does not stop the console."""
    try:
        age, default_age = heartbeat_age(), heartbeat_age(DEFAULT_CANARY)
    except (redis.RedisError, OSError) as error:
        return Check(status="unknown", detail=error.__class__.__name__)
    if age is None or age > DEAF_SECONDS:
        return Check(status="down", detail="no task was consumed in the last minute")
    # None: the first one comes a minute after the start.
    if default_age is not None and default_age > DEFAULT_DEAF_SECONDS:
        return Check(status="down", detail="no task of the default queue was consumed for minutes")
    return Check(status="up", detail=f"last task {age:.0f} s ago")


def alive(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """Whether the console may take traffic, with every dependency's state and latency."""
    checks = run_checks(database=check_database, cache=check_cache, worker=check_worker)
    is_ready = all(checks[name].status == "up" for name in ("database", "cache"))
    body = {
        "status": "ready" if is_ready else "not ready",
        "checks": {name: asdict(check) for name, check in checks.items()},
    }
    return JsonResponse(body, status=200 if is_ready else 503)


def run_checks(**checks: Callable[[], Check]) -> dict[str, Check]:
    """Each in a thread of its own. One that takes too long is down: whoever asks must not hang."""
    threads = ThreadPoolExecutor(max_workers=len(checks), thread_name_prefix="health")
    running = {name: threads.submit(check) for name, check in checks.items()}
    # Not waited for: a thread that hangs ends by the time limits of its own connection.
    threads.shutdown(wait=False)
    wait(running.values(), timeout=CHECK_SECONDS)
    return {
        name: check.result() if check.done() else Check(status="down", detail="TimeoutError")
        for name, check in running.items()
    }
