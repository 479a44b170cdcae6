"""Formats of numbers and states in the console."""

from decimal import Decimal

MILLION = 1_000_000

BADGES = {
    "active": "success",
    "ready": "success",
    "up": "success",
    "degraded": "warning",
    "down": "danger",
    "starting": "info",
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
    "waiting for approval": "warning",
    "in progress": "info",
    "incomplete": "warning",
    "cancelled": "warning",
}
"""The badge colour of each state."""


def separated(number: int | None) -> str:
    """Format a number with thousands separators: 1,234,567."""
    return "-" if number is None else f"{number:,}"


def currency_words(micro: int) -> str:
    """Format millionths of the currency unit: `12.50`, `0.000045`, `1,200.00`."""
    whole, _, part = f"{Decimal(micro) / MILLION:,.6f}".partition(".")
    return f"{whole}.{part.rstrip('0'):0<2}"
