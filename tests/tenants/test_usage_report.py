"""Questions about usage: what is asked, which hours are meant, how answers are laid out."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from kernel.errors import InvalidParameter
from tenants.ledger.usage_report import (
    HOUR,
    MAX_NAMES,
    OTHERS,
    ReportPeriod,
    UsageQuestion,
    UsageSums,
    day_of,
    days_of,
    name_of,
    read_question,
    span_of,
    stack_up,
)

BERLIN = ZoneInfo("Europe/Berlin")
ONE_DAY = timedelta(days=1)
NOW = datetime(2026, 3, 31, 10, 20, tzinfo=UTC)


def span(zone=BERLIN, **asked):
    names = {"begins": "from", "ends": "to", "group_by": "group_by"}
    parameters = {names[name]: value for name, value in asked.items()}
    question = read_question(tenant_id=1, parameters=parameters)
    found = span_of(question, zone=zone, now=NOW)
    return found.since.isoformat()[:16], found.until.isoformat()[:16]


def test_nothing_asked_is_thirty_days_of_the_zone_up_to_this_hours_end():
    # Berlin's clock was still an hour after UTC on 2 March.
    assert span() == ("2026-03-01T23:00", "2026-03-31T11:00")


def test_days_are_the_zones():
    assert span(begins="2026-03-28", ends="2026-03-30") == ("2026-03-27T23:00", "2026-03-29T22:00")


def test_times_carry_their_own_offset():
    asked = {"begins": "2026-03-28T12:00:00+02:00", "ends": "2026-03-28T11:00:00Z"}

    assert span(**asked) == ("2026-03-28T10:00", "2026-03-28T11:00")


def test_a_plus_sign_that_arrives_as_a_blank_is_one():
    assert span(begins="2026-03-28T12:00:00 02:00")[0] == "2026-03-28T10:00"


def test_a_time_without_an_offset_is_the_zones():
    assert span(begins="2026-03-28T12:00:00")[0] == "2026-03-28T11:00"


def test_hours_are_whole():
    asked = {"begins": "2026-03-28T10:59:59Z", "ends": "2026-03-28T12:00:01Z"}

    assert span(**asked) == ("2026-03-28T10:00", "2026-03-28T13:00")


def test_an_end_alone_is_thirty_days_before_it():
    assert span(ends="2026-03-11", zone=ZoneInfo("UTC")) == ("2026-02-09T00:00", "2026-03-11T00:00")


WRONG = {
    "no date": ({"begins": "yesterday"}, "from"),
    "a number": ({"ends": "1767225600"}, "to"),
    "a day that is none": ({"begins": "2026-02-30"}, "from"),
    "before the beginning": ({"begins": "2026-03-02", "ends": "2026-03-01"}, "to"),
    "nothing between": ({"begins": "2026-03-02", "ends": "2026-03-02"}, "to"),
    "begins tomorrow": ({"begins": "2026-04-01T12:00:00Z"}, "to"),
    "too long": ({"begins": "2020-01-01"}, "from"),
    "too long by hour": ({"begins": "2026-02-01", "group_by": "hour"}, "from"),
    "the first year": ({"begins": "0001-01-01", "ends": "0001-01-02"}, "from"),
    "the last year": ({"ends": "9999-12-31T23:59:59Z"}, "from"),
    "another group": ({"group_by": "tenant"}, "group_by"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_meant_is_told_by_its_name(case):
    asked, param = WRONG[case]

    with pytest.raises(InvalidParameter) as caught:
        span(zone=BERLIN, **asked)

    assert caught.value.param == param


def test_names_are_those_that_people_know():
    assert name_of({"key_id": 3, "key": "Laptop"}) == "Laptop (#3)"
    assert name_of({"key_id": 3, "key": None}) == "deleted (#3)"
    assert name_of({"key_id": None, "key": None}) == "no key"
    assert name_of({"agent": None}) == "no agent"
    assert name_of({"model": "tiny"}) == "tiny"


def test_stacks_have_every_day_and_all_beyond_the_first_names_as_one():
    first = date(2026, 3, 1)
    names = [f"m{number}" for number in range(MAX_NAMES + 3)]
    cells = [(first, name, UsageSums(requests=1)) for name in names]
    begins = datetime(2026, 3, 1, tzinfo=UTC)
    hours = ReportPeriod(since=begins, until=begins + timedelta(days=3))

    stacks = stack_up(cells, names=names, span=hours, zone=ZoneInfo("UTC"))

    assert [day.day for day in stacks.days] == [1, 2, 3]
    assert stacks.names == (*names[:MAX_NAMES], OTHERS)
    assert stacks.at(first, OTHERS).requests == 3
    assert stacks.at(date(2026, 3, 2), OTHERS).requests == 0
    assert stacks.of("m0").requests == 1


ODD_ZONES = [
    *("Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"),
    *("Australia/Adelaide", "Pacific/Chatham", "Asia/Tehran", "Europe/Berlin", "UTC"),
    *("Africa/Cairo", "America/Santiago", "Atlantic/Azores"),
]


@pytest.mark.parametrize("name", ODD_ZONES)
def test_days_tile_a_year_without_a_gap_or_an_hour_in_common(name):
    zone = ZoneInfo(name)
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(366)]
    spans = [span_of(question(day, day + ONE_DAY), zone=zone, now=NOW) for day in days]

    assert all(one.until == other.since for one, other in pairwise(spans))
    assert all(days_of(each, zone) == (day,) for each, day in zip(spans, days, strict=True))
    lengths = Counter((each.until - each.since) // timedelta(hours=1) for each in spans)
    assert lengths.keys() <= {23, 24, 25}
    assert lengths[24] >= 360


@pytest.mark.parametrize("name", ODD_ZONES)
def test_an_hour_belongs_to_the_day_whose_span_has_it(name):
    zone = ZoneInfo(name)
    for day in (date(2026, 3, 8), date(2026, 4, 5), date(2026, 10, 4), date(2026, 11, 1)):
        found = span_of(question(day, day + ONE_DAY), zone=zone, now=NOW)
        assert day_of(found.since, zone) == day_of(found.until - HOUR, zone) == day
        assert day_of(found.until, zone) == day + ONE_DAY


def test_midnight_as_a_time_is_the_day():
    kolkata = ZoneInfo("Asia/Kolkata")
    as_day = span(zone=kolkata, begins="2026-03-01", ends="2026-03-03")
    as_time = span(zone=kolkata, begins="2026-03-01T00:00:00", ends="2026-03-03T00:00:00+05:30")
    assert as_day == as_time == ("2026-02-28T18:00", "2026-03-02T18:00")


@pytest.mark.parametrize("minute", [0, 10, 29, 30, 31, 59])
@pytest.mark.parametrize("hour", [0, 5, 18, 19])
def test_nothing_asked_is_thirty_days_at_any_time_of_any_zone(hour, minute):
    now = datetime(2026, 3, 31, hour, minute, tzinfo=UTC)
    for name in ODD_ZONES:
        zone = ZoneInfo(name)
        found = span_of(question(None, None), zone=zone, now=now)
        assert len(days_of(found, zone)) == 30
        assert found.since < now <= found.until


def question(begins, ends):
    return UsageQuestion(tenant_id=1, begins=begins, ends=ends)


def test_the_day_with_an_hour_twice_has_a_bar_for_each():
    zone = ZoneInfo("Europe/Berlin")
    day = date(2026, 10, 25)
    span = span_of(question(day, day + ONE_DAY), zone=zone, now=NOW)
    hours = [span.since + number * timedelta(hours=1) for number in range(25)]

    cells = [(hour, "tiny", UsageSums(requests=1)) for hour in hours]
    stacks = stack_up(cells, names=["tiny"], span=span, zone=zone)

    assert (stacks.step, stacks.days) == ("hour", tuple(hours))
    assert list(stacks.labels).count("02:00") == 2
    assert stacks.of("tiny").requests == 25
