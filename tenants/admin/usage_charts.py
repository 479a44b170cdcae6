"""Stacked bars of usage by day or hour, as Chart.js (in the console's theme) draws them."""

from typing import Any, Literal

from kernel.admin.formatting import MILLION
from tenants.ledger.usage_report import UsageStacks, UsageSums

Measure = Literal["tokens", "requests", "cost"]

COLOURS = (
    *("#2563eb", "#0d9488", "#d97706", "#9333ea", "#dc2626", "#65a30d", "#0891b2"),
    "#94a3b8",
)
"""The last one is for all others together."""


def draw_chart(stacks: UsageStacks, *, measure: Measure) -> dict[str, Any]:
    """Chart.js' `data`: a bar for each day or hour, a layer for each name."""
    return {
        "labels": list(stacks.labels),
        "datasets": [
            {
                "label": name,
                "data": [amount(stacks.at(day, name), measure) for day in stacks.days],
                "backgroundColor": colour(number),
                "stack": "usage",
                # The theme draws bars as thin lines.
                "maxBarThickness": 28,
                "barPercentage": 0.75,
                "borderRadius": 2,
                "displayYAxis": True,
                "maxTicksXLimit": 12,
                "suffixYAxis": "" if measure == "cost" else measure,
            }
            for number, name in enumerate(stacks.names)
        ],
    }


def has_any(stacks: UsageStacks, *, measure: Measure) -> bool:
    """Whether there is a bar to draw."""
    return any(amount(sums, measure) for sums in stacks.cells.values())


def legend(stacks: UsageStacks) -> list[tuple[str, str, UsageSums]]:
    """Each name with its colour and its sums."""
    return [(name, colour(number), stacks.of(name)) for number, name in enumerate(stacks.names)]


def colour(number: int) -> str:
    return COLOURS[min(number, len(COLOURS) - 1)]


def amount(sums: UsageSums, measure: Measure) -> float:
    """Of cost, in the currency unit."""
    cost = sums.cost_micro / MILLION
    return {"tokens": sums.tokens, "requests": sums.requests, "cost": cost}[measure]
