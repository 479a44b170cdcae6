"""Is it alive, and may it take traffic: the console's answers, and the checks both planes share."""

import time
from collections.abc import Callable
from dataclasses import asdict

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, JsonResponse

from config.tasks import canary_age
from kernel.health import Check
from kernel.redis import connect

DEAF_SECONDS = 60


def timed(probe: Callable[[], None], *, failures: tuple[type[Exception], ...]) -> Check:
    """Whether `probe` succeeds, and how long it takes."""
    started = time.monotonic()
    try:
        probe()
    except failures as error:
        return Check(status="down", detail=error.__class__.__name__)
    return Check(status="up", latency_ms=round((time.monotonic() - started) * 1000, 2))


def check_database() -> Check:
    return timed(ask_database, failures=(DatabaseError, InterfaceError))


def ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def check_cache() -> Check:
    return timed(ping_redis, failures=(redis.RedisError, OSError))


def ping_redis() -> None:
    with connect(settings.REDIS_URL, timeout=1.0) as client:
        client.ping()


def check_worker() -> Check:
    """Whether Celery consumes. Not having one yet does not stop the console."""
    try:
        age = canary_age()
    except redis.RedisError as error:
        return Check(status="unknown", detail=error.__class__.__name__)
    if age is None or age > DEAF_SECONDS:
        return Check(status="down", detail="no task was consumed in the last minute")
    return Check(status="up", detail=f"last task {age:.0f} s ago")


def alive(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """Whether the console may take traffic, with every dependency's state and latency."""
    required = {"database": check_database(), "cache": check_cache()}
    is_ready = all(check.status == "up" for check in required.values())
    checks = {**required, "worker": check_worker()}
    body = {
        "status": "ready" if is_ready else "not ready",
        "checks": {name: asdict(check) for name, check in checks.items()},
    }
    return JsonResponse(body, status=200 if is_ready else 503)
