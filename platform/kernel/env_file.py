"""Files of NAME=value lines: read as they stand, written readable by their owner only."""

import os
from collections.abc import Mapping
from pathlib import Path

OWNER_ONLY = 0o600
EXPORT = "export "


def read_env_file(path: Path) -> dict[str, str]:
    """The NAME=value lines of a file, also those that `export` begins; empty if there is none.

    Values are taken as they stand.
    """
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.removeprefix(EXPORT).strip(): value.strip() for name, value in pairs}


def write_env_file(path: Path, values: Mapping[str, str], *, about: str) -> None:
    """Replace the file in one step; whoever reads sees the old one or the new one, mode 600."""
    write_lines(path, values, before="", about=about)


def write_exports(path: Path, values: Mapping[str, str], *, about: str) -> None:
    """The same for a shell to `source`: programs that it starts afterwards have the values too."""
    write_lines(path, values, before=EXPORT, about=about)


def write_lines(path: Path, values: Mapping[str, str], *, before: str, about: str) -> None:
    for name, value in values.items():
        if "\n" in value:
            raise ValueError(f"{name} holds a line break, which {path.name} cannot keep")
    lines = [f"# {about}", *(f"{before}{name}={value}" for name, value in values.items()), ""]
    write_private_file(path, "\n".join(lines))


def write_private_file(path: Path, text: str) -> None:
    """Like `Path.write_text`, in one step and with mode 600 from the first byte on."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)
