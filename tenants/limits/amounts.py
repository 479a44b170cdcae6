"""Amounts in forms: cost in the currency unit, everything else in whole numbers. Pure."""

from decimal import Decimal, InvalidOperation

from kernel.admin.formatting import MILLION, currency_words, separated


def read_amount(text: str, *, unit: str, max_amount: int) -> int:
    """Parse an amount of at most `max_amount`; cost in millionths of the currency unit.

    Raises ValueError with a message for the form.
    """
    try:
        typed = Decimal(text.strip())
    except InvalidOperation:
        typed = Decimal("NaN")
    if not typed.is_finite():
        raise ValueError("Write a number such as 2000000, or 12.50 for a cost.")
    scale = MILLION if unit == "cost" else 1
    # Checked before any arithmetic, which would take very long for 1e999999999.
    if not 0 < typed <= max_amount // scale:
        raise ValueError(f"Write a number above 0 and at most {separated(max_amount // scale)}.")
    amount = typed * scale
    if amount != int(amount):
        raise ValueError(
            "A cost has at most six decimal places."
            if unit == "cost"
            else f"Write a whole number of {unit}."
        )
    return int(amount)


def typed_amount(amount: int, *, unit: str) -> str:
    """Format an amount as an input value: `12.50`, or `2000000`."""
    return currency_words(amount).replace(",", "") if unit == "cost" else str(amount)
