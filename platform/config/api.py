"""How the management API pages, and how it tells failures: in the same shape as the gateway."""

from typing import Any

from django.core.exceptions import ValidationError as ModelValidationError
from django.db.models import ProtectedError
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.pagination import CursorPagination
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from agents.doors.rendering import error_object
from kernel.errors import (
    Conflict,
    Denied,
    InvalidJson,
    InvalidParameter,
    MethodNotAllowed,
    NotFound,
    PlatformError,
    Unauthenticated,
)


class Pages(CursorPagination):
    """Pages that stay right while rows are added: newest first."""

    ordering = "-pk"
    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"


def answer_failure(failure: Exception, context: dict[str, Any]) -> Response | None:
    """The error of CONTRACT §2 for an expected failure; None for a bug, which Django reports."""
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


@csrf_exempt
def answer_unknown(request: HttpRequest) -> JsonResponse:
    """An address that the management API does not have."""
    return JsonResponse(error_object(NotFound("There is no such address here.")), status=404)


def as_platform_error(  # noqa: PLR0911 - a table
    failure: Exception, *, view: Any = None
) -> PlatformError | None:
    """The leaf of our tree that says what Django or DRF mean."""
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
        case Http404() | exceptions.NotFound():
            return NotFound()
    return None


def first_problem(detail: Any, param: str | None = None) -> InvalidParameter:
    """The first sentence in DRF's nested lists and objects, and the field it is about."""
    if isinstance(detail, dict) and detail:
        name, rest = next(iter(detail.items()))
        place = param if name in {"non_field_errors", "__all__"} else join_param(param, str(name))
        return first_problem(rest, place)
    if isinstance(detail, list) and detail:
        return first_problem(detail[0], param)
    return InvalidParameter(f"{param}: {detail}" if param else str(detail), param=param)


def join_param(outer: str | None, inner: str) -> str:
    return f"{outer}.{inner}" if outer else inner
