"""Pagination and errors of the management API, in the same form as the gateway's."""

import logging
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import DataError
from django.db.models import ProtectedError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.defaults import bad_request
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from agents.doors.base.rendering import error_object
from kernel.errors import (
    BodyTooLarge,
    Conflict,
    Denied,
    InvalidJson,
    InvalidParameter,
    MethodNotAllowed,
    NotFound,
    PlatformError,
    Rejected,
    Unauthenticated,
)
from tenants.api.pages import ListPages

log = logging.getLogger(__name__)


class Pages(ListPages):
    """The default page size."""


def answer_failure(failure: Exception, context: dict[str, Any]) -> Response | None:
    """Return the response to an expected failure (protocols.md, "Errors"); None for a bug."""
    error = as_platform_error(failure, view=context.get("view"))
    if error is not None:
        set_rollback()
        return Response(
            error_object(error),
            status=error.status,
            headers={name.decode(): value.decode() for name, value in error.headers()},
        )
    answer = exception_handler(failure, context)
    if answer is not None:
        answer.data = error_object(OtherRefusal(str(getattr(failure, "detail", failure))))
    return answer


class OtherRefusal(PlatformError):
    """The request was refused."""

    code = "refused"
    status = 400
    kind = "invalid_request_error"


@csrf_exempt  # so that every method gets this error, and not that of a missing CSRF cookie
def answer_unknown(request: HttpRequest) -> JsonResponse:
    """Respond that the management API has no such address."""
    return answer_error(NotFound("There is no such address here."))


def answer_broken_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return Django's page for an unreadable request; JSON for the API."""
    if is_for_programs(request):
        is_large = isinstance(exception, RequestDataTooBig)
        return answer_error(BodyTooLarge() if is_large else Rejected())
    return bad_request(request, exception)


def answer_error(error: PlatformError) -> JsonResponse:
    """Return an error as JSON, for responses outside of the views of the API."""
    headers = {name.decode(): value.decode() for name, value in error.headers()}
    return JsonResponse(error_object(error), status=error.status, headers=headers)


def is_for_programs(request: HttpRequest) -> bool:
    """Return whether errors at this path are always JSON."""
    return request.path_info.startswith(("/api/", "/internal/"))


def as_platform_error(  # noqa: C901, PLR0911 - a table
    failure: Exception, *, view: Any = None
) -> PlatformError | None:
    """Return the error of the tree for an exception of Django or DRF."""
    match failure:
        case PlatformError():
            return failure
        case exceptions.ValidationError():
            return first_problem(failure.detail)
        case ModelValidationError():
            problems = failure.message_dict if hasattr(failure, "error_dict") else failure.messages
            return first_problem(problems)
        case exceptions.ParseError():
            return InvalidJson()
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return Unauthenticated("Sign in, or send `Authorization: Bearer <operator token>`.")
        case exceptions.MethodNotAllowed():
            return MethodNotAllowed(allow=", ".join(getattr(view, "allowed_methods", [])))
        case exceptions.PermissionDenied():
            return Denied()
        case ProtectedError():
            names = ", ".join(sorted({str(row) for row in failure.protected_objects})[:10])
            return Conflict(f"Still in use by: {names}.")
        case DataError():
            # A field that accepts such a value lacks validation; the row is not written.
            log.error("management API: value refused by PostgreSQL (error=%s)", failure)
            return InvalidParameter("A value is too large, or cannot be stored.")
        case Http404() | exceptions.NotFound():
            return NotFound()
    return None


def first_problem(detail: Any, param: str | None = None) -> InvalidParameter:
    """Return the first message in DRF's nested errors, and its field."""
    if isinstance(detail, dict) and detail:
        name, rest = next(iter(detail.items()))
        place = param if name in {"non_field_errors", "__all__"} else join_param(param, str(name))
        return first_problem(rest, place)
    if isinstance(detail, list) and detail:
        return first_problem(detail[0], param)
    return InvalidParameter(f"{param}: {detail}" if param else str(detail), param=param)


def join_param(outer: str | None, inner: str) -> str:
    return f"{outer}.{inner}" if outer else inner
