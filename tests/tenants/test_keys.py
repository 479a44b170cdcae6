"""API keys as text: every key parses, no misspelt one does, and none is ever shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.ids import ALPHABET
from tenants.api_keys.keys import (
    KeyText,
    checksum,
    digest_key,
    key_matches,
    new_key,
    parse_key,
    pepper_name,
)

base62 = st.text(ALPHABET, min_size=12, max_size=12)
secrets = st.text(ALPHABET, min_size=32, max_size=32)
keys = st.builds(KeyText, kind=st.just("tnt"), public_id=base62, secret=secrets)


@given(keys)
def test_every_key_parses_to_itself(key):
    assert parse_key(str(key)) == key


def test_a_new_key_has_the_promised_form():
    text = str(new_key())

    assert (text[:4], text[16], len(text)) == ("tnt_", "_", 4 + 12 + 1 + 32 + 6)


def test_new_keys_differ_in_id_and_secret():
    made = [new_key() for _ in range(500)]

    assert len({key.public_id for key in made}) == len({key.secret for key in made}) == 500


@given(keys, st.integers(4, 54), st.sampled_from(ALPHABET))
def test_no_single_wrong_character_passes_the_checksum(key, place, character):
    text = str(key)
    wrong = text[:place] + character + text[place + 1 :]

    assert wrong == text or parse_key(wrong) is None


def test_of_one_key_every_single_wrong_character_is_found():
    text = str(new_key())
    wrong = {
        text[:place] + character + text[place + 1 :]
        for place in range(len(text))
        for character in ALPHABET
    }

    assert [each for each in wrong - {text} if parse_key(each)] == []


@given(keys, st.integers(4, 53))
def test_two_exchanged_characters_are_found(key, place):
    text = str(key)
    wrong = text[:place] + text[place + 1] + text[place] + text[place + 2 :]

    assert wrong == text or parse_key(wrong) is None


@given(st.text(max_size=80))
def test_junk_is_no_key(text):
    assert parse_key(text) is None


@pytest.mark.parametrize("around", ["{} ", " {}", "{}\n", "{}x", "Bearer {}", "{}\x00", "{}="])
def test_a_key_with_something_around_it_is_no_key(around):
    assert parse_key(around.format(new_key())) is None


def test_digits_of_other_scripts_are_no_digits():
    body = "tnt_" + "٣" * 12 + "_" + "a" * 32

    assert parse_key(body + checksum(body)) is None


def test_a_token_of_another_kind_is_no_api_key():
    token = new_key(kind="tnj")

    assert parse_key(str(token)) is None
    assert parse_key(str(token), kind="tnj") == token


def test_the_repr_shows_no_secret():
    key = new_key()

    assert key.secret not in repr(key)
    assert key.secret not in f"{[key]} {key.prefix}"


@given(keys, keys)
def test_a_digest_proves_its_own_key_only(key, other):
    digest = digest_key(key, pepper="p")

    assert key_matches(key, digest=digest, pepper="p")
    assert not key_matches(key, digest=digest, pepper="q")
    assert other == key or not key_matches(other, digest=digest, pepper="p")


def test_the_same_secret_under_another_id_is_another_key():
    key = new_key()
    moved = KeyText(kind="tnt", public_id="0" * 12, secret=key.secret)

    assert digest_key(moved, pepper="p") != digest_key(key, pepper="p")


def test_a_peppers_name_does_not_give_it_away():
    assert pepper_name("salt") == pepper_name("salt") != pepper_name("pepper")
    assert "salt" not in pepper_name("salt")
