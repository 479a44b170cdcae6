"""The console during an outage of PostgreSQL or Redis: a 503 with the platform's error."""

import sys
from collections.abc import Callable

import redis
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views import defaults

from config.api.conventions import answer_error, is_for_programs
from kernel.errors import CacheUnavailable, DatabaseUnavailable, Overloaded, PlatformError
from kernel.storage.database import UNAVAILABLE
from kernel.storage.postgres import limited_statements

CONNECT_TIMEOUT_SECONDS = 1.5
"""Timeout for a connection to PostgreSQL, so that a 503 is sent within 2 s."""
STATEMENT_TIMEOUT_SECONDS = 20.0
"""Timeout of later statements. Some pages have slow queries."""
WITHOUT_DATABASE = ("/healthz", "/health", "/readyz", "/ready", "/metrics", "/static/")
"""Paths that do not need PostgreSQL, or report its state."""

Respond = Callable[[HttpRequest], HttpResponse]


class OutageMiddleware:
    """Answers pages and the management API with 503 while a dependency is unavailable."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(WITHOUT_DATABASE):
            return self._respond(request)
        try:
            # The pool checks that the connection which it returns is alive.
            with limited_statements(timeout_seconds=CONNECT_TIMEOUT_SECONDS):
                connection.ensure_connection()
        except UNAVAILABLE:
            return answer_error(DatabaseUnavailable())
        with limited_statements(timeout_seconds=STATEMENT_TIMEOUT_SECONDS):
            return self._respond(request)

    def process_exception(self, request: HttpRequest, failure: Exception) -> HttpResponse | None:
        """Return a 503 for an outage. Called by Django for an exception of a view."""
        outage = outage_behind(failure)
        return None if outage is None else answer_error(outage)


def outage_behind(failure: BaseException | None) -> PlatformError | None:
    """Return the error of the unavailable dependency; None for other exceptions."""
    match failure:
        case Overloaded():
            return failure
        case _ if isinstance(failure, UNAVAILABLE):
            return DatabaseUnavailable()
        case redis.RedisError():
            return CacheUnavailable()
    return None


def answer_server_error(request: HttpRequest) -> HttpResponse:
    """Implement Django's `handler500`, also for exceptions outside of views."""
    _, failure, _ = sys.exc_info()
    outage = outage_behind(failure)
    if outage is not None:
        return answer_error(outage)
    if is_for_programs(request):
        return answer_error(PlatformError())
    return defaults.server_error(request)
