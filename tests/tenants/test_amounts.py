"""Amounts as operators type and read them."""

import pytest

from kernel.admin.formatting import currency_words
from tenants.limits.amounts import read_amount, typed_amount
from tenants.models.limit_rules import MAX_AMOUNT

SHOWN = {1: "0.000001", 150_000: "0.15", 12_500_000: "12.50", 1_200_000_000: "1,200.00"}


@pytest.mark.parametrize("micro", SHOWN)
def test_millionths_are_shown_in_the_currency(micro):
    assert currency_words(micro) == SHOWN[micro]


@pytest.mark.parametrize("unit", ["cost", "tokens", "requests"])
@pytest.mark.parametrize("amount", [1, 999_999, 1_000_000, 123_456_789, MAX_AMOUNT])
def test_what_a_form_shows_it_reads_again(amount, unit):
    assert read_amount(typed_amount(amount, unit=unit), unit=unit, max_amount=MAX_AMOUNT) == amount


@pytest.mark.parametrize(
    ("text", "unit", "told"),
    [
        ("12.50.1", "cost", "Write a number"),
        ("nan", "cost", "Write a number"),
        ("1e999999999", "cost", "at most 1,000,000,000"),
        ("0.0000001", "cost", "six decimal places"),
        ("1.5", "tokens", "whole number of tokens"),
        ("0", "tokens", "above 0"),
        ("-3", "cost", "above 0"),
        ("1000000001", "cost", "at most 1,000,000,000"),
        ("1000000000000001", "tokens", "at most 1,000,000,000,000,000"),
        ("", "tokens", "Write a number"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(text, unit, told):
    with pytest.raises(ValueError, match=told):
        read_amount(text, unit=unit, max_amount=MAX_AMOUNT)
