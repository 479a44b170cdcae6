"""Numbers and names in the sentences that explain a decision. Pure."""

from inference.signal_kinds import MEASURES


def number(value: float) -> str:
    """Return a number with at most two decimals: 12, 3.4, 0.05."""
    if abs(value) >= 100 or value == int(value):  # noqa: PLR2004 - three digits suffice
        return f"{value:,.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".")


def replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"


def label(kind: str) -> str:
    """Return the label of a signal for the middle of a sentence."""
    name = MEASURES[kind].label
    return name if name[:2].isupper() else name[0].lower() + name[1:]


def amount(kind: str, value: float) -> str:
    """Return a value with its unit: `70 %`, `300 ms`, `12`."""
    unit = MEASURES[kind].unit
    return f"{number(value)} {unit}" if unit in {"%", "ms"} else number(value)


def seconds(count: float) -> str:
    if count >= 120 and count % 60 == 0:  # noqa: PLR2004 - two minutes
        return f"{count / 60:.0f} minutes"
    return "1 second" if count == 1 else f"{number(count)} seconds"
