"""Variables: named in instructions, given by clients, and never more than text."""

import pytest

from agents.runtime.catalog.variables import (
    MAX_VALUE_CHARS,
    MAX_VARIABLES,
    check_variables,
    fill_in,
    unknown_variables,
    used_names,
)
from kernel.errors import InvalidParameter

CITY = {"city": "Riga"}


def test_the_default_stands_where_the_client_says_nothing():
    assert fill_in("Speak of {{city}}.", defaults=CITY) == "Speak of Riga."


def test_what_the_client_says_comes_before_the_default():
    told = fill_in("Speak of {{city}}.", defaults=CITY, given={"city": "Oslo"})

    assert told == "Speak of Oslo."


def test_a_variable_may_stand_at_many_places_and_with_blanks():
    assert fill_in("{{ city }}, {{city}}", defaults=CITY) == "Riga, Riga"


def test_an_empty_text_is_a_text():
    assert fill_in("[{{city}}]", defaults=CITY, given={"city": ""}) == "[]"


def test_a_text_is_never_expanded_again():
    defaults = {"city": "Riga", "secret": "hidden"}

    told = fill_in("{{city}} {{secret}}", defaults=defaults, given={"city": "{{secret}}"})

    assert told == "{{secret}} hidden"


def test_a_text_cannot_build_a_variable_with_what_stands_around_it():
    told = fill_in("{{{city}}}", defaults={**CITY, "x": "hidden"}, given={"city": "{x}"})

    assert "hidden" not in told


@pytest.mark.parametrize("text", [r"\1 \g<0>", "%(city)s {city} {0}", "{{city", "\0", "é€😀"])
def test_a_text_is_taken_as_it_is(text):
    assert fill_in("<{{city}}>", defaults=CITY, given={"city": text}) == f"<{text}>"


@pytest.mark.parametrize("text", ["{{}}", "{{#if x}}", "{{1st}}", "{{a-b}}", "{{a.b}}", "{ {a} }"])
def test_other_braces_are_ordinary_text(text):
    assert (used_names(text), fill_in(text, defaults=CITY)) == ([], text)


@pytest.mark.parametrize("name", ["town", "City", "", "x" * 5000])
def test_a_name_that_the_agent_does_not_have_is_refused(name):
    with pytest.raises(InvalidParameter, match="It has: city") as caught:
        fill_in("{{city}}", defaults=CITY, given={name: "Oslo"})

    assert caught.value.param == f"variables.{name[:64]}"


def test_names_are_found_once_in_the_order_of_the_text():
    assert used_names("{{b}} {{a}} {{ b }}") == ["b", "a"]


def test_a_sentence_names_what_has_no_default():
    assert "{{b}}, {{c}}" in unknown_variables("{{a}} {{b}} {{c}}", {"a"})
    assert unknown_variables("{{a}}", {"a", "unused"}) == ""


@pytest.mark.parametrize(
    "value",
    [
        *([], "x", 5, None, {"1st": "x"}, {"a-b": "x"}, {"": "x"}, {"x" * 65: "x"}, {"ä": "x"}),
        *({"a": 1}, {"a": None}, {"a": "x" * (MAX_VALUE_CHARS + 1)}),
        {f"v{number}": "" for number in range(MAX_VARIABLES + 1)},
    ],
)
def test_defaults_that_cannot_be_are_refused(value):
    with pytest.raises(InvalidParameter):
        check_variables(value)


def test_defaults_at_the_limits_are_taken():
    value = {f"v{number}": "x" * MAX_VALUE_CHARS for number in range(MAX_VARIABLES)}

    assert check_variables(value) == value
