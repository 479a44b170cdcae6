"""Names of the fields of quota windows in Redis."""


def window_field(unit: str, window: str) -> str:
    """What follows `u:`, `v:`, `g:` and `h:` in the names of a quota window's fields."""
    return f"{unit}:{window}"
