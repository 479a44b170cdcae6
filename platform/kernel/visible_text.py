"""Names that look like what they are: no control characters, none that turn the reading direction.

Source: Unicode Technical Report 36, "Bidirectional Text Spoofing".
"""

import re

from django.core.exceptions import ValidationError

INVISIBLE = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
"""Controls, marks and overrides of direction, blanks of no width. Joiners belong to letters."""


def validate_visible(text: str) -> None:
    """Raises ValidationError for a character that nobody sees, naming it and its place."""
    found = INVISIBLE.search(text) if isinstance(text, str) else None
    if found:
        raise ValidationError(
            f"Character {found.start() + 1} (U+{ord(found[0]):04X}) cannot be seen. Remove it.",
            code="invisible",
        )
