"""Identifiers: base 62 that sorts, ids that never repeat."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.ids import ALPHABET, encode_base62, new_id, new_public_id, new_request_id

ROUND_NUMBERS = {
    (0, 1): "0",
    (61, 1): "z",
    (62, 2): "10",
    (62**2 - 1, 2): "zz",
    (62**2, 3): "100",
    (62**3 - 1, 3): "zzz",
    (0, 6): "000000",
    (2**32 - 1, 6): "4gfFC3",
}


@pytest.mark.parametrize(("number", "length"), ROUND_NUMBERS)
def test_round_numbers_are_written_as_by_hand(number, length):
    assert encode_base62(number, length=length) == ROUND_NUMBERS[number, length]


@given(st.integers(0, 62**7 - 1))
def test_the_digits_mean_the_number(number):
    digits = encode_base62(number, length=7)

    value = 0
    for digit in digits:
        value = value * 62 + ALPHABET.index(digit)
    assert (value, len(digits)) == (number, 7)


@given(st.integers(0, 62**5 - 1), st.integers(0, 62**5 - 1))
def test_encoded_numbers_sort_as_the_numbers_do(one, other):
    encoded = encode_base62(one, length=5), encode_base62(other, length=5)

    assert (encoded[0] < encoded[1]) == (one < other)


@pytest.mark.parametrize(("number", "length"), [(62, 1), (62**2, 2), (62**3, 3), (-1, 4)])
def test_a_number_that_does_not_fit_is_refused(number, length):
    with pytest.raises(ValueError, match="does not fit"):
        encode_base62(number, length=length)


@pytest.mark.parametrize("length", [1, 12, 32])
def test_a_public_id_has_the_length_asked_for(length):
    public_id = new_public_id(length)

    assert len(public_id) == length
    assert set(public_id) <= set(ALPHABET)


def test_ids_are_unique():
    assert len({new_public_id() for _ in range(2000)}) == 2000
    assert len({new_request_id() for _ in range(2000)}) == 2000


def test_ids_sort_by_the_time_of_their_making(monkeypatch):
    moments = iter([1, 999_999, 1_000_000, 10**18, 4 * 10**18])
    monkeypatch.setattr("kernel.ids.time.time_ns", lambda: next(moments))

    ids = [new_id("resp") for _ in range(5)]

    # The first two are of the same microsecond.
    assert sorted(ids[1:]) == ids[1:]
    assert len({len(each) for each in ids}) == 1


def test_a_request_id_names_its_kind_and_fits_the_ledger():
    assert new_request_id().startswith("req_")
    assert len(new_request_id()) <= 40
