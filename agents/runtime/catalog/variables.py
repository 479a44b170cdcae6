"""Variables: `{{name}}` in instructions, and the text that replaces it. Pure."""

import re
from collections.abc import Iterable, Mapping

from kernel.errors import InvalidParameter

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
PLACE = re.compile(r"\{\{[ \t]{0,8}(" + NAME.pattern + r")[ \t]{0,8}\}\}")
"""Other text in braces is no variable: instructions may contain templates of other systems."""
MAX_VARIABLES = 64
MAX_VALUE_CHARS = 4_000
"""The limit of one value, whether a default or a client's."""


def used_names(instructions: str) -> list[str]:
    """Return the variables that `instructions` use, each once, in the order of the text."""
    return list(dict.fromkeys(PLACE.findall(instructions)))


def check_variables(value: object) -> Mapping[str, str]:
    """Return the defaults of an agent. Raises InvalidParameter for the first problem."""
    if not isinstance(value, dict):
        raise InvalidParameter('Variables are a JSON object, for example {"city": "Riga"}.')
    if len(value) > MAX_VARIABLES:
        raise InvalidParameter(f"There are at most {MAX_VARIABLES} variables.")
    for name, text in value.items():
        if NAME.fullmatch(str(name)) is None:
            raise InvalidParameter(
                f"{str(name)[:64]!r} cannot be a variable: its name has letters, digits and _, "
                "at most 64, and no digit first."
            )
        if not isinstance(text, str) or len(text) > MAX_VALUE_CHARS:
            raise InvalidParameter(
                f"The default of {name!r} is a text of at most {MAX_VALUE_CHARS} characters."
            )
    return value


def unknown_variables(instructions: str, known: Iterable[str]) -> str:
    """Return a sentence that names the variables without a default; empty if each has one."""
    known = frozenset(known)
    unknown = [name for name in used_names(instructions) if name not in known]
    if not unknown:
        return ""
    names = ", ".join(f"{{{{{name}}}}}" for name in unknown[:10])
    return f"The instructions use {names}, but there is no such variable. Add it to the variables."


def fill_in(
    instructions: str, *, defaults: Mapping[str, str], given: Mapping[str, str] | None = None
) -> str:
    """`instructions` with their variables replaced. Braces inside a value are not replaced.

    Raises InvalidParameter for a value without a variable.
    """
    if given:
        ensure_known(given, known=defaults)
    if "{{" not in instructions:
        return instructions
    values = {**defaults, **(given or {})}
    # One pass: braces inside a value are text, so that a client cannot read another variable.
    return PLACE.sub(lambda place: values.get(place[1], place[0]), instructions)


def ensure_known(given: Iterable[str], *, known: Iterable[str]) -> None:
    known = sorted(known)
    for name in given:
        if name not in known:
            has = f"It has: {', '.join(known)}." if known else "It has none."
            raise InvalidParameter(
                f"This model has no variable {name[:64]!r}. {has}", param=f"variables.{name[:64]}"
            )
