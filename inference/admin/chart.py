"""Larger charts as SVG: lines or bars over a stretch of time, with their axes, drawn from numbers
alone. Pure.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from inference.admin.sparkline import Line

WIDTH, HEIGHT = 720, 150
MAX_STEPS = 4
"""Of the axis of values."""
MAX_MARKS = 7
"""Of the axis of time."""
MAX_SLICES = 72
"""Pieces of the time whose values are shown under the pointer."""
DAY = 86_400
TIME_STEPS = (
    *(10, 30, 60, 300, 600, 900, 1800),
    *(3600, 7200, 3 * 3600, 6 * 3600, 12 * 3600),
    *(DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY),
)
"""Seconds between two marks: people count time so."""
ONE_OF = {"requests": "request", "replicas": "replica"}
"""What is counted: the axis has whole numbers."""
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
    """A place on an axis, in the picture and in per cent of its side, with what it says."""

    at: float
    percent: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A piece of the time, and what the values are in it."""

    x: float
    width: float
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a chart of bars."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines or bars in one frame, with their axes and their legend."""

    title: str
    unit: str
    says: str
    """For those who cannot see it: the largest and the last value of each line."""
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    legend: tuple[Series, ...]
    marks: tuple[Mark, ...]
    levels: tuple[Mark, ...]
    """Of the axis of values, the lowest first; each has a line across the picture."""
    slices: tuple[Slice, ...]
    width: int = WIDTH
    height: int = HEIGHT


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


def draw_chart(
    title: str, series: Sequence[Series], *, since: float, until: float, unit: str = ""
) -> Chart | None:
    """Lines. None where there is nothing to draw."""
    values = [value for each in series for _, value in each.points if value is not None]
    if not values or until <= since:
        return None
    step = step_of(max(1.0, *values), unit)
    frame = Frame(since=since, until=until, most=top_of(max(1.0, *values), step))
    drawn = tuple(each for each in series if any(v is not None for _, v in each.points))
    return Chart(
        title=title,
        unit=unit,
        says=f"{title}: " + "; ".join(describe_series(each, unit) for each in drawn),
        lines=tuple(Line(css=each.css, pieces=pieces(each, frame)) for each in series),
        legend=drawn,
        marks=marks_of(frame),
        levels=levels_of(frame, step),
        slices=tuple(slices_of(drawn, frame, unit)),
    )


def draw_bars(title: str, points: Points, *, seconds: float, unit: str) -> Chart | None:
    """Bars that are `seconds` wide, each beginning at its time. None where there are none."""
    if not points:
        return None
    values = [value or 0.0 for _, value in points]
    since, until = points[0][0], points[-1][0] + seconds
    step = step_of(max(1.0, *values), unit)
    frame = Frame(since=since, until=until, most=top_of(max(1.0, *values), step))
    series = Series(css="bar", label="", points=points)
    return Chart(
        title=title,
        unit=unit,
        says=f"{title}: {describe_series(series, unit)}",
        bars=tuple(bar_of(at, value or 0.0, seconds, frame) for at, value in points),
        legend=(series,),
        marks=marks_of(frame),
        levels=levels_of(frame, step),
        slices=tuple(
            Slice(
                x=frame.x(at),
                width=frame.x(at + seconds) - frame.x(at),
                says=f"{time_text(at)}: {with_unit(value or 0.0, unit)}",
            )
            for at, value in points
        ),
    )


def bar_of(at: float, value: float, seconds: float, frame: Frame) -> Bar:
    left, right, top = frame.x(at), frame.x(at + seconds), frame.y(value)
    gap = (right - left) / 8
    return Bar(x=left + gap, y=top, width=right - left - 2 * gap, height=HEIGHT - 1 - top)


def step_of(most: float, unit: str) -> float:
    """A round number that goes into `most` MAX_STEPS times or less: 1, 2, 2.5 or 5 with zeros."""
    raw = max(1.0, most / MAX_STEPS) if unit in ONE_OF else most / MAX_STEPS
    size = float(10.0 ** math.floor(math.log10(raw)))
    halves = () if unit in ONE_OF and size == 1 else (2.5,)
    steps = sorted((1, 2, *halves, 5, 10))
    return float(next(size * each for each in steps if size * each >= raw * (1 - 1e-9)))


def top_of(most: float, step: float) -> float:
    """The first step that is not below `most`."""
    return step * math.ceil(most / step - 1e-9)


def levels_of(frame: Frame, step: float) -> tuple[Mark, ...]:
    values = [step * number for number in range(round(frame.most / step) + 1)]
    return tuple(
        Mark(at=frame.y(value), percent=100 * value / frame.most, label=number_text(value))
        for value in values
    )


def number_text(value: float) -> str:
    """With as many digits as tell it from its neighbours."""
    digits = 0 if abs(value) >= 100 or value == round(value) else 2  # noqa: PLR2004
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def with_unit(value: float, unit: str) -> str:
    word = ONE_OF.get(unit, unit) if value == 1 else unit
    return f"{number_text(value)} {word}".rstrip()


def describe_series(series: Series, unit: str) -> str:
    values = [value for _, value in series.points if value is not None]
    name = f"{series.label}, " if series.label else ""
    return f"{name}at most {with_unit(max(values), unit)}, last {with_unit(values[-1], unit)}"


def slices_of(drawn: Sequence[Series], frame: Frame, unit: str) -> Iterator[Slice]:
    """What each line says in each piece of the time: the last value that it has there."""
    seconds = (frame.until - frame.since) / MAX_SLICES
    found: dict[int, dict[int, tuple[float, float]]] = {}
    for number, each in enumerate(drawn):
        for at, value in each.points:
            if value is not None and frame.since <= at <= frame.until:
                place = min(MAX_SLICES - 1, int((at - frame.since) / seconds))
                found.setdefault(place, {})[number] = (at, value)
    for place, values in sorted(found.items()):
        lines = [
            f"{drawn[number].label} {with_unit(value, unit)}".strip()
            for number, (_, value) in sorted(values.items())
        ]
        last = max(at for at, _ in values.values())
        yield Slice(
            x=frame.x(frame.since + place * seconds),
            width=(WIDTH - 2) / MAX_SLICES,
            says=f"{time_text(last)}: " + ", ".join(lines),
        )


def time_text(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


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
    """Round times, in UTC: at midnights the day, else the hour and minute."""
    span = frame.until - frame.since
    step = next((each for each in TIME_STEPS if span / each <= MAX_MARKS), TIME_STEPS[-1])
    first = math.ceil(frame.since / step)
    times = [step * number for number in range(first, math.floor(frame.until / step) + 1)]
    return tuple(
        Mark(at=frame.x(at), percent=100 * (at - frame.since) / span, label=mark_text(at))
        for at in times
    )


def mark_text(at: float) -> str:
    moment = datetime.fromtimestamp(at, tz=UTC)
    return moment.strftime("%d %b" if at % DAY == 0 else "%H:%M" if at % 60 == 0 else "%H:%M:%S")
