"""How the console shows numbers and states."""

from decimal import Decimal

MILLION = 1_000_000

BADGES = {
    "active": "success",
    "ready": "success",
    "completed": "success",
    "published": "success",
    "suspended": "danger",
    "blocked": "danger",
    "failed": "danger",
    "expired": "warning",
    "unhealthy": "danger",
    "draining": "warning",
    "client left": "warning",
    "changes": "warning",
    "hard": "info",
    "shadow": "warning",
    "open": "info",
    "approved": "success",
    "denied": "danger",
    "pending": "warning",
    "waits for an approval": "warning",
    "in progress": "info",
    "under way": "info",
    "incomplete": "warning",
    "cancelled": "warning",
}
"""The colour of every state that a list shows."""


def separated(number: int | None) -> str:
    """A count as people read it: 1,234,567."""
    return "-" if number is None else f"{number:,}"


def currency_words(micro: int) -> str:
    """Millionths in the currency unit: `12.50`, `0.000045`, `1,200.00`."""
    whole, _, part = f"{Decimal(micro) / MILLION:,.6f}".partition(".")
    return f"{whole}.{part.rstrip('0'):0<2}"
