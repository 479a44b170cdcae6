"""The console while PostgreSQL or Redis is away: 503 in the platform's own form, and in time."""

import sys
from collections.abc import Callable

import redis
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views import defaults

from config.api.conventions import answer_error, is_for_programs
from kernel.errors import CacheUnavailable, DatabaseAway, Overloaded, PlatformError
from kernel.storage.database import UNAVAILABLE
from kernel.storage.postgres import limited_statements

CONNECT_TIMEOUT_SECONDS = 1.5
"""For PostgreSQL's first answer to a request: whoever asks hears within 2 s that it is away."""
STATEMENT_TIMEOUT_SECONDS = 20.0
"""For each later one. Some pages ask for much, and PostgreSQL has answered this request before."""
WITHOUT_DATABASE = ("/healthz", "/health", "/readyz", "/ready", "/metrics", "/static/")
"""Addresses that are answered without it, or say of it what they find."""

Respond = Callable[[HttpRequest], HttpResponse]


class OutageMiddleware:
    """Answers for pages and the management API alike while a dependency is away."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(WITHOUT_DATABASE):
            return self._respond(request)
        try:
            # The pool asks PostgreSQL whether the connection that it hands out is alive.
            with limited_statements(timeout_seconds=CONNECT_TIMEOUT_SECONDS):
                connection.ensure_connection()
        except UNAVAILABLE:
            return answer_error(DatabaseAway())
        with limited_statements(timeout_seconds=STATEMENT_TIMEOUT_SECONDS):
            return self._respond(request)

    def process_exception(self, request: HttpRequest, failure: Exception) -> HttpResponse | None:
        """Called by Django for what a view raises."""
        outage = outage_behind(failure)
        return None if outage is None else answer_error(outage)


def outage_behind(failure: BaseException | None) -> PlatformError | None:
    """The error that says which dependency is away; None if none is."""
    match failure:
        case Overloaded():
            return failure
        case _ if isinstance(failure, UNAVAILABLE):
            return DatabaseAway()
        case redis.RedisError():
            return CacheUnavailable()
    return None


def answer_server_error(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`: what was raised outside of views comes here too."""
    _, failure, _ = sys.exc_info()
    outage = outage_behind(failure)
    if outage is not None:
        return answer_error(outage)
    if is_for_programs(request):
        return answer_error(PlatformError())
    return defaults.server_error(request)
