"""Cron expressions: which times they mean in a zone, and which texts are none."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import CronNeverFires, InvalidCron
from agents.schedules.cron import next_times, parse_cron

BERLIN = "Europe/Berlin"
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)  # a Monday


def times(text, *, zone="UTC", after=NOON, count=3):
    found = next_times(parse_cron(text, zone=zone), after=after, count=count)
    return [f"{each:%Y-%m-%d %H:%M}" for each in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/20 * * * *", ["2026-11-30 12:20", "2026-11-30 12:40", "2026-11-30 13:00"]),
        ("0 9 * * mon-fri", ["2026-12-01 09:00", "2026-12-02 09:00", "2026-12-03 09:00"]),
        ("0 9 * * 6-7", ["2026-12-05 09:00", "2026-12-06 09:00", "2026-12-12 09:00"]),
        ("0 9 * * 7", ["2026-12-06 09:00", "2026-12-13 09:00", "2026-12-20 09:00"]),
        ("30 8,17 1 JAN,jul *", ["2027-01-01 08:30", "2027-01-01 17:30", "2027-07-01 08:30"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("0 0 13 * fri", ["2026-12-04 00:00", "2026-12-11 00:00", "2026-12-13 00:00"]),
        ("0 0 */10 * *", ["2026-12-01 00:00", "2026-12-11 00:00", "2026-12-21 00:00"]),
        ("@monthly", ["2026-12-01 00:00", "2027-01-01 00:00", "2027-02-01 00:00"]),
    ],
)
def test_an_expression_means_these_times(text, expected):
    assert times(text) == expected


def test_a_time_of_the_day_stays_the_same_for_people_when_clocks_change():
    days = times("0 9 * * *", zone=BERLIN, after=datetime(2027, 3, 27, tzinfo=UTC))
    assert days == ["2027-03-27 08:00", "2027-03-28 07:00", "2027-03-29 07:00"]


def test_a_time_that_clocks_jump_over_is_moved_by_as_much():
    days = times("30 2 * * *", zone=BERLIN, after=datetime(2027, 3, 27, 12, tzinfo=UTC))
    assert days[:2] == ["2027-03-28 01:30", "2027-03-29 00:30"]  # 03:30 and 02:30 in Berlin


def test_a_time_that_exists_twice_is_used_once():
    days = times("30 2 * * *", zone=BERLIN, after=datetime(2027, 10, 30, 12, tzinfo=UTC))
    assert days[:2] == ["2027-10-31 00:30", "2027-11-01 01:30"]


@pytest.mark.parametrize(("month", "day"), [(3, 28), (10, 31)])
def test_every_quarter_of_an_hour_stays_so_when_clocks_change(month, day):
    change = datetime(2027, month, day, tzinfo=UTC)
    expression = parse_cron("*/15 * * * *", zone=BERLIN)
    found = next_times(expression, after=change - timedelta(hours=3), count=40)
    assert {b - a for a, b in pairwise(found)} == {timedelta(minutes=15)}


@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    days=st.integers(0, 7000),
    zone=st.sampled_from([BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_times_are_in_order_and_after_the_moment(minute, hour, days, zone):
    after = NOON + timedelta(days=days)
    found = next_times(parse_cron(f"{minute} {hour} * * *", zone=zone), after=after, count=5)
    assert len(found) == 5
    assert [after, *found] == sorted({after, *found})


WRONG = {
    "with seconds": "* * * * * *",
    "of four fields": "0 9 * *",
    "empty": "",
    "words": "every day at nine",
    "an unknown shortcut": "@reboot",
    "minute 60": "60 * * * *",
    "hour 24": "0 24 * * *",
    "day 0": "0 0 0 * *",
    "month 13": "0 0 1 13 *",
    "day of the week 8": "0 0 * * 8",
    "a step of zero": "*/0 * * * *",
    "a negative step": "*/-5 * * * *",
    "a backward range": "0 5-2 * * *",
    "an open list": "1, * * * *",
    "other digits": "\u0661 * * * *",
    "too long": ",".join(["1"] * 100) + " * * * *",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_is_no_expression_is_refused_with_the_parameter(text):
    with pytest.raises(InvalidCron) as refused:
        parse_cron(text, zone="UTC")
    assert refused.value.param == "cron"


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 feb *"])
def test_a_day_that_never_comes_is_refused(text):
    with pytest.raises(CronNeverFires):
        parse_cron(text, zone="UTC")


@pytest.mark.parametrize("zone", ["", "Berlin", "Europe/Nowhere", "localtime", "../etc/passwd"])
def test_an_unknown_zone_is_refused(zone):
    with pytest.raises(InvalidCron) as refused:
        parse_cron("0 9 * * *", zone=zone)
    assert refused.value.param == "time_zone"
