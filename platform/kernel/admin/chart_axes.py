"""Axes of charts: round numbers, round times, and positions inside the plot area. Pure."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

WIDTH, HEIGHT = 720, 150
"""Size of the plot area in units of its SVG view box. The page stretches it."""
MAX_VALUE_STEPS = 4
MAX_CATEGORY_TICKS = 8
MAX_TIME_TICKS = 7
DAY_SECONDS = 86_400
TIME_STEPS_SECONDS = (
    *(10, 30, 60, 300, 600, 900, 1800),
    *(3600, 7200, 3 * 3600, 6 * 3600, 12 * 3600),
    *(DAY_SECONDS, 2 * DAY_SECONDS, 7 * DAY_SECONDS, 14 * DAY_SECONDS, 28 * DAY_SECONDS),
)
SINGULAR = {"requests": "request", "replicas": "replica", "tokens": "token"}
"""Units of countable things. Their axis has whole numbers only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A labelled position on an axis: in view box units, and in percent of the axis."""

    position: float
    percent: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueAxis:
    """The vertical axis from zero to `max_value`, which is a multiple of `step`."""

    max_value: float
    step: float

    def y(self, value: float) -> float:
        return HEIGHT - 1 - min(1.0, max(0.0, value / self.max_value)) * (HEIGHT - 2)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Ticks in ascending order."""
        values = [self.step * number for number in range(round(self.max_value / self.step) + 1)]
        return tuple(
            Tick(
                position=self.y(value),
                percent=100 * value / self.max_value,
                label=format_number(value),
            )
            for value in values
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAxis:
    """The horizontal axis between two Unix times, in seconds."""

    since: float
    until: float

    def x(self, at: float) -> float:
        across = (at - self.since) / (self.until - self.since)
        return 1 + min(1.0, max(0.0, across)) * (WIDTH - 2)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Round times in UTC: the day at midnight, otherwise hour and minute."""
        span = self.until - self.since
        fitting = (step for step in TIME_STEPS_SECONDS if span / step <= MAX_TIME_TICKS)
        step = next(fitting, TIME_STEPS_SECONDS[-1])
        first, last = math.ceil(self.since / step), math.floor(self.until / step)
        times = [step * number for number in range(first, last + 1)]
        return tuple(
            Tick(
                position=self.x(at),
                percent=100 * (at - self.since) / span,
                label=format_tick_time(at),
            )
            for at in times
        )


def value_axis(max_value: float, unit: str) -> ValueAxis:
    """Return the axis that ends at the first round number that is not below `max_value`."""
    step = value_step(max_value, unit)
    return ValueAxis(max_value=step * math.ceil(max_value / step - 1e-9), step=step)


def value_step(max_value: float, unit: str) -> float:
    """Return 1, 2, 2.5 or 5 times a power of ten: MAX_VALUE_STEPS steps reach `max_value`."""
    is_counted = unit in SINGULAR
    raw = max_value / MAX_VALUE_STEPS
    raw = max(1.0, raw) if is_counted else raw
    size = float(10.0 ** math.floor(math.log10(raw)))
    halves = () if is_counted and size == 1 else (2.5,)
    steps = sorted((1, 2, *halves, 5, 10))
    return float(next(size * each for each in steps if size * each >= raw * (1 - 1e-9)))


def category_ticks(labels: tuple[str, ...]) -> tuple[Tick, ...]:
    """Ticks at the middle of every n-th category, so that the labels have room."""
    every = math.ceil(len(labels) / MAX_CATEGORY_TICKS)
    width = (WIDTH - 2) / len(labels)
    return tuple(
        Tick(
            position=1 + (number + 0.5) * width,
            percent=100 * (number + 0.5) / len(labels),
            label=label,
        )
        for number, label in enumerate(labels)
        if number % every == 0
    )


def format_number(value: float) -> str:
    """Format a number with a thousands separator, and two significant digits below one."""
    if value == round(value) or abs(value) >= 100:  # noqa: PLR2004
        return f"{value:,.0f}"
    digits = max(2, 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".")


def format_with_unit(value: float, unit: str) -> str:
    word = SINGULAR.get(unit, unit) if value == 1 else unit
    return f"{format_number(value)} {word}".rstrip()


def format_time(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def format_tick_time(at: float) -> str:
    moment = datetime.fromtimestamp(at, tz=UTC)
    if at % DAY_SECONDS == 0:
        return moment.strftime("%d %b")
    return moment.strftime("%H:%M" if at % 60 == 0 else "%H:%M:%S")
