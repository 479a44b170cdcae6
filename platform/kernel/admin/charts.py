"""Charts of the console as SVG: lines over time, and stacked bars over categories. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from kernel.admin.chart_axes import (
    HEIGHT,
    WIDTH,
    Tick,
    TimeAxis,
    ValueAxis,
    category_ticks,
    format_time,
    format_with_unit,
    value_axis,
)

MAX_SLICES = 72
"""Parts of the time axis with a tooltip of their own."""
BAR_GAP = 1 / 8
"""Empty part of a category's width at each side of its bar."""

Points = Sequence[tuple[float, float | None]]
"""Unix time in seconds and value, the oldest first. None interrupts the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The values of one line. `css` names its colour: `console-series-<css>` in console.css."""

    css: str
    label: str
    points: Points
    is_stepped: bool = False
    """The line jumps at each point instead of sloping, as a number of replicas does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One place on the horizontal axis of a bar chart."""

    label: str
    description: str
    """The full name for the tooltip, such as `2026-01-02 15:00 UTC`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One part of every bar. `css` names its colour, as that of a Series."""

    css: str
    label: str
    values: Sequence[float]
    """One value for each category."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendEntry:
    """The colour and the name of a line or layer. An empty name is not displayed."""

    css: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A drawn series: the `points` attributes of its SVG polylines."""

    css: str
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A drawn rectangle, in view box units."""

    css: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A vertical part of the plot area with its tooltip."""

    x: float
    width: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The values that `console/components/chart.html` draws."""

    title: str
    unit: str
    axis_label: str
    """Name of the horizontal axis, with its time zone."""
    summary: str
    """Text alternative: the largest and the last value of each line or layer."""
    legend: tuple[LegendEntry, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    slices: tuple[Slice, ...]
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    width: int = WIDTH
    height: int = HEIGHT


def line_chart(
    title: str, series: Sequence[Series], *, since: float, until: float, unit: str = ""
) -> Chart | None:
    """Return a chart of lines over time. None if there is no value to draw."""
    values = [value for each in series for _, value in each.points if value is not None]
    if not values or until <= since:
        return None
    y_axis = value_axis(max(1.0, *values), unit)
    x_axis = TimeAxis(since=since, until=until)
    drawn = tuple(each for each in series if any(v is not None for _, v in each.points))
    return Chart(
        title=title,
        unit=unit,
        axis_label="Time (UTC)",
        summary=f"{title}: " + "; ".join(summarize_series(each, unit) for each in drawn),
        legend=tuple(LegendEntry(css=each.css, label=each.label) for each in drawn),
        x_ticks=x_axis.ticks,
        y_ticks=y_axis.ticks,
        slices=tuple(time_slices(drawn, x_axis, unit)),
        lines=tuple(
            Line(css=each.css, segments=line_segments(each, x_axis, y_axis)) for each in series
        ),
    )


def bar_chart(
    title: str,
    categories: Sequence[Category],
    layers: Sequence[Layer],
    *,
    axis_label: str,
    unit: str = "",
) -> Chart | None:
    """Return a chart of one bar per category, stacked from `layers`. None if one is empty."""
    if not categories or not layers:
        return None
    totals = [sum(values) for values in zip(*(each.values for each in layers), strict=True)]
    y_axis = value_axis(max(totals) if max(totals) > 0 else 1.0, unit)
    return Chart(
        title=title,
        unit=unit,
        axis_label=axis_label,
        summary=summarize_bars(title, categories, layers, totals, unit),
        legend=tuple(LegendEntry(css=each.css, label=each.label) for each in layers),
        x_ticks=category_ticks(tuple(each.label for each in categories)),
        y_ticks=y_axis.ticks,
        slices=tuple(category_slices(categories, layers, totals, unit)),
        bars=tuple(stack_bars(layers, y_axis)),
    )


def summarize_series(series: Series, unit: str) -> str:
    values = [value for _, value in series.points if value is not None]
    name = f"{series.label}, " if series.label else ""
    highest, last = format_with_unit(max(values), unit), format_with_unit(values[-1], unit)
    return f"{name}at most {highest}, last {last}"


def summarize_bars(
    title: str,
    categories: Sequence[Category],
    layers: Sequence[Layer],
    totals: Sequence[float],
    unit: str,
) -> str:
    highest = max(range(len(totals)), key=totals.__getitem__)
    named = [each for each in layers if each.label]
    parts = [f"{each.label} {format_with_unit(sum(each.values), unit)}" for each in named]
    return (
        f"{title}: {format_with_unit(sum(totals), unit)} in total"
        + (f" ({', '.join(parts)})" if parts else "")
        + f", at most {format_with_unit(totals[highest], unit)}"
        + f" ({categories[highest].description})"
    )


def stack_bars(layers: Sequence[Layer], y_axis: ValueAxis) -> Iterator[Bar]:
    """Yield the rectangles of every bar, the first layer at the bottom, without empty ones."""
    for number, values in enumerate(zip(*(each.values for each in layers), strict=True)):
        width = (WIDTH - 2) / len(layers[0].values)
        below = 0.0
        for layer, value in zip(layers, values, strict=True):
            if value > 0:
                top = y_axis.y(below + value)
                yield Bar(
                    css=layer.css,
                    x=1 + (number + BAR_GAP) * width,
                    y=top,
                    width=width * (1 - 2 * BAR_GAP),
                    height=y_axis.y(below) - top,
                )
                below += value


def category_slices(
    categories: Sequence[Category], layers: Sequence[Layer], totals: Sequence[float], unit: str
) -> Iterator[Slice]:
    """Yield the total of each category and, for several layers, those that are not zero."""
    width = (WIDTH - 2) / len(categories)
    for number, category in enumerate(categories):
        values = [(each.label, each.values[number]) for each in layers if each.label]
        parts = [f"{label} {format_with_unit(value, unit)}" for label, value in values if value]
        detail = f" ({', '.join(parts)})" if parts else ""
        yield Slice(
            x=1 + number * width,
            width=width,
            text=f"{category.description}: {format_with_unit(totals[number], unit)}{detail}",
        )


def time_slices(drawn: Sequence[Series], axis: TimeAxis, unit: str) -> Iterator[Slice]:
    """Yield for each part of the time axis the last value of each line in it."""
    seconds = (axis.until - axis.since) / MAX_SLICES
    found: dict[int, dict[int, tuple[float, float]]] = {}
    for number, each in enumerate(drawn):
        for at, value in each.points:
            if value is not None and axis.since <= at <= axis.until:
                place = min(MAX_SLICES - 1, int((at - axis.since) / seconds))
                found.setdefault(place, {})[number] = (at, value)
    for place, values in sorted(found.items()):
        parts = [
            f"{drawn[number].label} {format_with_unit(value, unit)}".strip()
            for number, (_, value) in sorted(values.items())
        ]
        last = max(at for at, _ in values.values())
        yield Slice(
            x=axis.x(axis.since + place * seconds),
            width=(WIDTH - 2) / MAX_SLICES,
            text=f"{format_time(last)}: " + ", ".join(parts),
        )


def line_segments(series: Series, x_axis: TimeAxis, y_axis: ValueAxis) -> tuple[str, ...]:
    """Return the points of each uninterrupted part of the line. A single point is drawn twice."""
    segments = []
    for is_gap, group in groupby(series.points, key=lambda point: point[1] is None):
        if not is_gap:
            points = list(plotted_points([(at, value or 0.0) for at, value in group], series))
            drawn = [f"{x_axis.x(at):.1f},{y_axis.y(value):.1f}" for at, value in points]
            segments.append(" ".join(drawn if len(drawn) > 1 else drawn * 2))
    return tuple(segments)


def plotted_points(
    points: Sequence[tuple[float, float]], series: Series
) -> Iterator[tuple[float, float]]:
    """Yield the points, and before each jump of a stepped line the end of the step."""
    before: float | None = None
    for at, value in points:
        if series.is_stepped and before is not None:
            yield at, before
        yield at, value
        before = value
