"""Cursor pagination of the lists of the management API."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.timezone import is_naive
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from kernel.errors import InvalidParameter

MAX_DIGITS = 19
"""Maximum digits of a number that PostgreSQL can store; Python raises from 4300 digits on."""


class ListPages(CursorPagination):
    """Pages that stay correct while rows are added, the newest row first.

    A cursor contains the name of its list. Raises InvalidParameter for other cursors, and for a
    page size that is not a positive number; a size above the maximum becomes the maximum.
    """

    ordering: str | tuple[str, ...] = "-pk"
    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        self.list_name = f"{getattr(view, 'basename', '')}.{getattr(view, 'action', '')}"
        self.model = queryset.model
        return super().paginate_queryset(queryset, request, view)

    def get_page_size(self, request: Request) -> int | None:
        text = request.query_params.get(self.page_size_query_param)
        if text is None:
            return self.page_size
        try:
            size = read_whole_number(text)
        except ValueError:
            size = 0
        if size < 1:
            raise InvalidParameter("Send a positive number.", param=self.page_size_query_param)
        return min(size, self.max_page_size)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Return the parameters for the OpenAPI document, with the minimum of the page size."""
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        for each in parameters:
            if each["name"] == self.page_size_query_param:
                each["schema"]["minimum"] = 1
        return parameters

    def decode_cursor(self, request: Request) -> Any:
        encoded = request.query_params.get(self.cursor_query_param)
        if encoded is None:
            return None
        try:
            text = b64decode(encoded.encode("ascii"), validate=True).decode("ascii")
            parts = dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True))
            return self.read_cursor(parts)
        except (ValueError, Base64Error, ValidationError) as error:
            raise InvalidParameter(
                "This cursor does not belong to this list. Follow `next` and `previous` unchanged, "
                "or begin without a cursor.",
                param=self.cursor_query_param,
            ) from error

    def read_cursor(self, parts: dict[str, str]) -> Any:
        """Parse a cursor. Raises ValueError or ValidationError unless `encode_cursor` wrote it."""
        if parts.pop("l", None) != self.list_name or not set(parts) <= {"o", "r", "p"}:
            raise ValueError("of another list")
        offset = read_whole_number(parts.get("o", "0"))
        if offset > self.offset_cutoff:
            raise ValueError("beyond the cutoff")
        position = parts.get("p")
        if position is not None:
            check_position(position, field=self.first_field())
        # The type stubs declare the position as a number.
        return Cursor(offset, parts.get("r") == "1", cast("Any", position))

    def first_field(self) -> models.Field[Any, Any]:
        """Return the first field of the ordering, whose values are positions."""
        ordering: Sequence[str] = (
            (self.ordering,) if isinstance(self.ordering, str) else self.ordering
        )
        name = ordering[0].lstrip("-")
        columns = self.model._meta  # noqa: SLF001 - documented by Django
        field: models.Field[Any, Any] = columns.pk if name == "pk" else columns.get_field(name)
        return field

    def encode_cursor(self, cursor: Cursor) -> str:
        parts = {"l": self.list_name}
        if cursor.offset:
            parts["o"] = str(cursor.offset)
        if cursor.reverse:
            parts["r"] = "1"
        if cursor.position is not None:
            parts["p"] = str(cursor.position)
        encoded = b64encode(urlencode(parts).encode("ascii")).decode("ascii")
        return str(replace_query_param(str(self.base_url), self.cursor_query_param, encoded))


def read_whole_number(text: str) -> int:
    """Parse a number. Raises ValueError, also for a sign or more than MAX_DIGITS digits."""
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise ValueError(f"not a number: {text[:20]}")
    return int(text)


def check_position(position: str, *, field: models.Field[Any, Any]) -> None:
    """Raise ValueError or ValidationError for a text that is not a value of the field."""
    if isinstance(field, models.IntegerField):
        read_whole_number(position)
        return
    value = field.to_python(position)
    if value is None or "\0" in position:
        raise ValueError("no value")
    if isinstance(field, models.DateTimeField) and is_naive(value):
        raise ValueError("without a time zone")
