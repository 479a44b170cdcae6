"""The form field of prices: entered as 0.15 per million tokens, stored in millionths."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

MILLION = 1_000_000


class PriceFormField(forms.Field):
    """A price per million tokens in the currency unit; its value is whole millionths of it."""

    widget = UnfoldAdminTextInputWidget

    def __init__(self, *, max_micro: int, **options: Any) -> None:
        super().__init__(**options)
        self.max_micro = max_micro

    def prepare_value(self, value: Any) -> Any:
        return price_text(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> int:
        if value in self.empty_values:
            return 0
        try:
            price = Decimal(str(value).strip())
        except InvalidOperation as error:
            raise forms.ValidationError("Write a number such as 0.15.") from error
        if not price.is_finite() or not 0 <= price <= self.max_micro // MILLION:
            raise forms.ValidationError(
                f"A price must be between 0 and {self.max_micro // MILLION} per million tokens."
            )
        micro = price * MILLION
        if micro != int(micro):
            raise forms.ValidationError("A price has at most six decimal places.")
        return int(micro)


def price_text(micro: int) -> str:
    """Format millionths in the currency unit: 150000 as `0.15`."""
    text = f"{Decimal(micro) / MILLION:.6f}".rstrip("0")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction:0<2}"
