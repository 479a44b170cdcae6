"""Computes small SVG charts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.monitoring.fleet_status import HOUR_SECONDS, Sample
from kernel.admin.charts import Line

WIDTH, HEIGHT = 88, 28
GAP_SECONDS = 300
"""A line is interrupted where samples are further apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparkline:
    """A chart of the last hour."""

    label: str
    """Text for screen readers and the tooltip."""
    lines: tuple[Line, ...]
    width: int = WIDTH
    height: int = HEIGHT


def draw_load(samples: Sequence[Sample], *, now: float) -> Sparkline | None:
    """Draw running and waiting requests; None without samples."""
    if not samples:
        return None
    peak = max(1.0, *(max(each.running, each.waiting) for each in samples))
    running = [(each.at, each.running) for each in samples]
    waiting = [(each.at, each.waiting) for each in samples]
    return Sparkline(
        label=f"Last hour: at most {peak_text(running)} running, {peak_text(waiting)} waiting",
        lines=(
            Line(css="running", segments=segments_of(running, peak=peak, now=now)),
            Line(css="waiting", segments=segments_of(waiting, peak=peak, now=now)),
        ),
    )


def draw_tokens(samples: Sequence[Sample], *, now: float) -> Sparkline | None:
    """Draw generated tokens per second; None if the engine does not report them."""
    points = [(s.at, s.tokens_per_second) for s in samples if s.tokens_per_second is not None]
    if not points:
        return None
    peak = max(1.0, *(value for _, value in points))
    return Sparkline(
        label=f"Last hour: at most {peak_text(points)} tokens per second",
        lines=(Line(css="tokens", segments=segments_of(points, peak=peak, now=now)),),
    )


def peak_text(values: Sequence[tuple[float, float]]) -> str:
    return f"{max(value for _, value in values):,.0f}"


def segments_of(
    values: Sequence[tuple[float, float]], *, peak: float, now: float
) -> tuple[str, ...]:
    """Return the points of each uninterrupted piece; `now` is at the right edge."""
    pieces: list[list[str]] = []
    before = float("-inf")
    for at, value in values:
        if at - before > GAP_SECONDS:
            pieces.append([])
        pieces[-1].append(point(at, value, peak=peak, now=now))
        before = at
    return tuple(" ".join(piece if len(piece) > 1 else piece * 2) for piece in pieces)


def point(at: float, value: float, *, peak: float, now: float) -> str:
    """Return `x,y`, with a margin of one pixel so that lines are not clipped."""
    across = min(1.0, max(0.0, 1 - (now - at) / HOUR_SECONDS))
    x = 1 + across * (WIDTH - 2)
    y = HEIGHT - 1 - min(1.0, max(0.0, value / peak)) * (HEIGHT - 2)
    return f"{x:.1f},{y:.1f}"
