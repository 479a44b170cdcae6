"""Small charts as SVG, drawn from numbers alone. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.monitoring.fleet_status import HOUR_SECONDS, Sample

WIDTH, HEIGHT = 88, 28
GAP_SECONDS = 300
"""Without a word for so long, a line is interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One series: `points` of several polylines, as SVG writes them."""

    css: str
    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparkline:
    """A chart of the last hour."""

    label: str
    """For those who cannot see it, and under the pointer."""
    lines: tuple[Line, ...]
    width: int = WIDTH
    height: int = HEIGHT


def draw_load(samples: Sequence[Sample], *, now: float) -> Sparkline | None:
    """Running and waiting requests; None where nothing is known."""
    if not samples:
        return None
    most = max(1.0, *(max(each.running, each.waiting) for each in samples))
    running = [(each.at, each.running) for each in samples]
    waiting = [(each.at, each.waiting) for each in samples]
    return Sparkline(
        label=f"Last hour: at most {most_of(running)} running, {most_of(waiting)} waiting",
        lines=(
            Line(css="running", pieces=pieces_of(running, most=most, now=now)),
            Line(css="waiting", pieces=pieces_of(waiting, most=most, now=now)),
        ),
    )


def draw_tokens(samples: Sequence[Sample], *, now: float) -> Sparkline | None:
    """Generated tokens a second; None where no engine tells."""
    points = [(s.at, s.tokens_per_second) for s in samples if s.tokens_per_second is not None]
    if not points:
        return None
    most = max(1.0, *(value for _, value in points))
    return Sparkline(
        label=f"Last hour: at most {most_of(points)} tokens a second",
        lines=(Line(css="tokens", pieces=pieces_of(points, most=most, now=now)),),
    )


def most_of(values: Sequence[tuple[float, float]]) -> str:
    return f"{max(value for _, value in values):,.0f}"


def pieces_of(values: Sequence[tuple[float, float]], *, most: float, now: float) -> tuple[str, ...]:
    """The points of each uninterrupted piece, with the present at the right."""
    pieces: list[list[str]] = []
    before = float("-inf")
    for at, value in values:
        if at - before > GAP_SECONDS:
            pieces.append([])
        pieces[-1].append(point(at, value, most=most, now=now))
        before = at
    return tuple(" ".join(piece if len(piece) > 1 else piece * 2) for piece in pieces)


def point(at: float, value: float, *, most: float, now: float) -> str:
    """`x,y` with a margin of a pixel, so that no line is cut in half."""
    across = min(1.0, max(0.0, 1 - (now - at) / HOUR_SECONDS))
    x = 1 + across * (WIDTH - 2)
    y = HEIGHT - 1 - min(1.0, max(0.0, value / most)) * (HEIGHT - 2)
    return f"{x:.1f},{y:.1f}"
