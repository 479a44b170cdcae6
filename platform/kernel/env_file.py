"""Files of NAME=value lines, written with mode 600."""

import os
from collections.abc import Mapping
from pathlib import Path

OWNER_ONLY = 0o600
EXPORT = "export "


def read_env_file(path: Path) -> dict[str, str]:
    """Return the NAME=value lines of a file, also after `export`; empty if there is no file.

    Values are not unquoted.
    """
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.removeprefix(EXPORT).strip(): value.strip() for name, value in pairs}


def write_env_file(path: Path, values: Mapping[str, str], *, about: str) -> None:
    """Replace the file atomically, with mode 600."""
    write_lines(path, values, before="", about=about)


def write_exports(path: Path, values: Mapping[str, str], *, about: str) -> None:
    """Replace the file atomically, with mode 600 and with `export` for a shell's `source`."""
    write_lines(path, values, before=EXPORT, about=about)


def write_lines(path: Path, values: Mapping[str, str], *, before: str, about: str) -> None:
    for name, value in values.items():
        if "\n" in value:
            raise ValueError(f"{name} has a line break, which {path.name} cannot contain")
    lines = [f"# {about}", *(f"{before}{name}={value}" for name, value in values.items()), ""]
    write_private_file(path, "\n".join(lines))


def write_private_file(path: Path, text: str) -> None:
    """Write a text like `Path.write_text`, but atomically and with mode 600 from the start."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)
