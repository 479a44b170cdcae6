"""Short texts of the management API are such as people can read, as the console's are."""

from typing import Any

from rest_framework import serializers

from kernel.visible_text import validate_visible

MAX_SHORT_CHARS = 500
"""Longer texts, such as instructions, have lines."""


def require_visible(field: Any) -> None:
    """Let every short text of a serializer, or below a field, be refused for a character that
    nobody sees.
    """
    if isinstance(field, serializers.Serializer):
        for each in field.fields.values():
            require_visible(each)
    elif isinstance(field, serializers.ListField | serializers.ListSerializer):
        require_visible(field.child)
    elif isinstance(field, serializers.CharField) and is_short(field):
        field.validators.append(validate_visible)


def is_short(field: serializers.CharField) -> bool:
    return field.max_length is not None and field.max_length <= MAX_SHORT_CHARS
