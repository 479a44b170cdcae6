"""Validation of names: no control characters, none that change the text direction.

Source: Unicode Technical Report 36, "Bidirectional Text Spoofing".
"""

import re

from django.core.exceptions import ValidationError

INVISIBLE = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
"""Control characters, direction marks and zero-width spaces, but not zero-width joiners."""


def validate_visible(text: str) -> None:
    """Raises ValidationError for an invisible character, with its name and position."""
    found = INVISIBLE.search(text) if isinstance(text, str) else None
    if found:
        raise ValidationError(
            f"Character {found.start() + 1} (U+{ord(found[0]):04X}) is invisible. Remove it.",
            code="invisible",
        )
