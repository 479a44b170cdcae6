"""Larger charts as SVG: several lines over a stretch of time, drawn from numbers alone. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from inference.admin.sparkline import Line

WIDTH, HEIGHT = 720, 150
MARKS = 6
A_DAY_AND_A_HALF = 36 * 3600.0
Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line."""

    css: str
    label: str
    points: Points
    """Time and value, the oldest first; None interrupts the line."""
    is_stepped: bool = False
    """It jumps instead of sloping: replicas are whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A time below the chart."""

    x: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines in one frame, with their legend."""

    title: str
    most: str
    lines: tuple[Line, ...]
    legend: tuple[Series, ...]
    marks: tuple[Mark, ...]
    width: int = WIDTH
    height: int = HEIGHT


def draw_chart(title: str, series: Sequence[Series], *, since: float, until: float) -> Chart | None:
    """None where there is nothing to draw."""
    values = [value for each in series for _, value in each.points if value is not None]
    if not values or until <= since:
        return None
    most = max(1.0, *values)
    frame = Frame(since=since, until=until, most=most)
    return Chart(
        title=title,
        most=f"{most:,.0f}" if most >= 10 else f"{most:.1f}".removesuffix(".0"),  # noqa: PLR2004
        lines=tuple(Line(css=each.css, pieces=pieces(each, frame)) for each in series),
        legend=tuple(each for each in series if any(v is not None for _, v in each.points)),
        marks=marks_of(frame),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    since: float
    until: float
    most: float

    def x(self, at: float) -> float:
        across = (at - self.since) / (self.until - self.since)
        return 1 + min(1.0, max(0.0, across)) * (WIDTH - 2)

    def y(self, value: float) -> float:
        return HEIGHT - 1 - min(1.0, max(0.0, value / self.most)) * (HEIGHT - 2)


def pieces(series: Series, frame: Frame) -> tuple[str, ...]:
    """The points of each uninterrupted piece."""
    found: list[list[str]] = [[]]
    before: float | None = None
    for at, value in series.points:
        if value is None:
            found.append([])
        else:
            if series.is_stepped and before is not None:
                found[-1].append(f"{frame.x(at):.1f},{frame.y(before):.1f}")
            found[-1].append(f"{frame.x(at):.1f},{frame.y(value):.1f}")
        before = value
    return tuple(" ".join(piece if len(piece) > 1 else piece * 2) for piece in found if piece)


def marks_of(frame: Frame) -> tuple[Mark, ...]:
    span = frame.until - frame.since
    form = "%H:%M" if span <= A_DAY_AND_A_HALF else "%d %b"
    times = [frame.since + span * number / MARKS for number in range(MARKS)]
    return tuple(
        Mark(x=frame.x(at), label=datetime.fromtimestamp(at, tz=UTC).strftime(form)) for at in times
    )
