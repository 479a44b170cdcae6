"""Figures against their targets, as a table for people and as JSON for the next comparison."""

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number and what it should be. `measured` None: it could not be measured."""

    name: str
    measured: float | None
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return f"≤ {self.at_most:g}" if self.at_most is not None else ""

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        if self.at_least is None and self.at_most is None:
            return ""
        is_met = (self.at_least is None or self.measured >= self.at_least) and (
            self.at_most is None or self.measured <= self.at_most
        )
        return "met" if is_met else "MISSED"


def show(title: str, figures: Sequence[Figure]) -> str:
    header = ("figure", "target", "measured", "verdict")
    rows = [header, *(row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([title, "", lines[0], rule, *lines[1:]])


def row(figure: Figure) -> tuple[str, str, str, str]:
    measured = "-" if figure.measured is None else f"{figure.measured:,.4g} {figure.unit}".strip()
    if figure.measured is not None and figure.measured >= 1000:
        measured = f"{figure.measured:,.0f} {figure.unit}".strip()
    return figure.name, figure.target, measured, figure.verdict


def save(folder: Path, name: str, *, figures: Sequence[Figure], raw: Any) -> Path:
    """Write `name`-<time>.json, and say where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%S")
    path = folder / f"{name}-{stamp}.json"
    content = {
        "at": stamp,
        "machine": {"system": platform.platform(), "python": platform.python_version()},
        "figures": [{**asdict(figure), "verdict": figure.verdict} for figure in figures],
        "raw": raw,
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path
