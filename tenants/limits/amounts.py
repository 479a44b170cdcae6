"""Amounts as people type and read them: cost in the currency, all else in whole numbers. Pure."""

from decimal import Decimal, InvalidOperation

from kernel.admin.formatting import MILLION, currency_words, separated


def read_amount(text: str, *, unit: str, most: int) -> int:
    """What is stored for `text`: of cost, millionths of the currency unit, and no more than `most`.

    Raises ValueError with a sentence for whoever typed it.
    """
    try:
        typed = Decimal(text.strip())
    except InvalidOperation:
        typed = Decimal("NaN")
    if not typed.is_finite():
        raise ValueError("Write a number such as 2000000, or 12.50 for a cost.")
    scale = MILLION if unit == "cost" else 1
    # Before anything is worked out: 1e999999999 is a number too.
    if not 0 < typed <= most // scale:
        raise ValueError(f"This lies above 0 and is at most {separated(most // scale)}.")
    amount = typed * scale
    if amount != int(amount):
        raise ValueError(
            "A cost has at most six digits after the point."
            if unit == "cost"
            else f"There are no parts of {unit}. Write a whole number."
        )
    return int(amount)


def typed_amount(amount: int, *, unit: str) -> str:
    """`amount` as a form shows it: `12.50`, or `2000000`."""
    return currency_words(amount).replace(",", "") if unit == "cost" else str(amount)
