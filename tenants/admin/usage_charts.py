"""Stacked bar charts of usage by day or hour."""

from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from kernel.admin.charts import Category, Chart, Layer, bar_chart
from kernel.admin.formatting import MILLION
from tenants.ledger.usage_report import UsageStacks, UsageSums

Measure = Literal["tokens", "requests", "cost"]

MAX_COLOURS = 8
"""Number of colours of groups in console.css: `console-series-group-1` to `-8`."""


def draw_usage(stacks: UsageStacks, *, measure: Measure, title: str) -> Chart | None:
    """Return a chart with a bar per day or hour and a layer per name; None without usage."""
    layers = [
        Layer(
            css=group_css(number),
            label=name,
            values=[amount(stacks.at(day, name), measure) for day in stacks.days],
        )
        for number, name in enumerate(stacks.names)
    ]
    if not any(any(layer.values) for layer in layers):
        return None
    return bar_chart(
        title,
        [
            Category(label=label, description=describe_step(day, stacks.zone))
            for label, day in zip(stacks.labels, stacks.days, strict=True)
        ],
        layers,
        axis_label=f"{stacks.step.capitalize()} ({stacks.zone})",
        unit="" if measure == "cost" else measure,
    )


def describe_step(day: date, zone: str) -> str:
    """Return the label of a day, or of an hour in the zone."""
    if isinstance(day, datetime):
        return f"{day.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
    return f"{day:%Y-%m-%d}"


def legend(stacks: UsageStacks) -> list[tuple[str, str, UsageSums]]:
    """Return each name with its CSS class and its sums."""
    return [(name, group_css(number), stacks.of(name)) for number, name in enumerate(stacks.names)]


def group_css(number: int) -> str:
    return f"group-{min(number + 1, MAX_COLOURS)}"


def amount(sums: UsageSums, measure: Measure) -> float:
    """Return one of the sums; cost in the currency unit."""
    cost = sums.cost_micro / MILLION
    return {"tokens": sums.tokens, "requests": sums.requests, "cost": cost}[measure]
