"""Refusal of invisible characters in short texts of the management API, as in the console."""

from typing import Any

from rest_framework import serializers

from kernel.visible_text import validate_visible

MAX_SHORT_CHARS = 500
"""Maximum length of a short text. Longer texts, such as instructions, contain line breaks."""


def require_visible(field: Any) -> None:
    """Make every short text of a serializer or field refuse invisible characters."""
    if isinstance(field, serializers.Serializer):
        for each in field.fields.values():
            require_visible(each)
    elif isinstance(field, serializers.ListField | serializers.ListSerializer):
        require_visible(field.child)
    elif isinstance(field, serializers.CharField) and is_short(field):
        field.validators.append(validate_visible)


def is_short(field: serializers.CharField) -> bool:
    return field.max_length is not None and field.max_length <= MAX_SHORT_CHARS
