"""Schedules use local time, also on days with a change of daylight saving time."""

from datetime import UTC, date, datetime, time

import pytest

from inference.scaling.decision.schedules import Hours, bounds_at, first_overlap, next_span
from inference.scaling.decision.types import Bounds

OWN = Bounds(min_replicas=1, max_replicas=4)
EVERY_DAY = frozenset(range(7))


def hours(starts, ends, **facts):
    usual = {
        "name": "sale",
        "zone": "Europe/Berlin",
        "weekdays": EVERY_DAY,
        "min_replicas": 5,
        "max_replicas": 9,
    }
    return Hours(**{**usual, "starts": time(*starts), "ends": time(*ends), **facts})


def in_force(moment, *schedules):
    return bounds_at(datetime.fromisoformat(moment), schedules, otherwise=OWN).schedule


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        ("2026-11-27T07:59:59+01:00", ""),
        ("2026-11-27T08:00:00+01:00", "sale"),
        ("2026-11-27T17:59:59+01:00", "sale"),
        ("2026-11-27T18:00:00+01:00", ""),
        ("2026-11-28T12:00:00+01:00", ""),  # a Saturday
    ],
)
def test_it_is_in_force_from_its_beginning_until_before_its_end(moment, name):
    assert in_force(moment, hours((8, 0), (18, 0), weekdays=frozenset(range(5)))) == name


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        ("2026-11-27T21:59:00+01:00", ""),
        ("2026-11-27T22:00:00+01:00", "sale"),
        ("2026-11-28T05:59:00+01:00", "sale"),
        ("2026-11-28T06:00:00+01:00", ""),
        ("2026-11-28T22:30:00+01:00", ""),
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(moment, name):
    assert in_force(moment, hours((22, 0), (6, 0), weekdays=frozenset({4}))) == name


def test_from_midnight_to_midnight_is_a_whole_day():
    whole = hours((0, 0), (0, 0), weekdays=frozenset({4}))
    assert in_force("2026-11-27T00:00:00+01:00", whole) == "sale"
    assert in_force("2026-11-27T23:59:59+01:00", whole) == "sale"
    assert in_force("2026-11-28T00:00:00+01:00", whole) == ""


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        # 29 March 2026: from 02:00 to 03:00 there is no time in Berlin.
        ("2026-03-29T00:59:59+00:00", ""),
        ("2026-03-29T01:30:00+00:00", "sale"),  # 03:30 summer time, where 02:30 would have been
        ("2026-03-29T02:59:59+00:00", "sale"),
        ("2026-03-29T03:00:00+00:00", ""),
        # 25 October 2026: 02:30 exists twice; the first one counts, and 05:00 is after both.
        ("2026-10-25T00:29:59+00:00", ""),
        ("2026-10-25T00:30:00+00:00", "sale"),
        ("2026-10-25T03:59:59+00:00", "sale"),
        ("2026-10-25T04:00:00+00:00", ""),
    ],
)
def test_a_change_of_daylight_saving_moves_what_it_must(moment, name):
    assert in_force(moment, hours((2, 30), (5, 0))) == name


def test_the_same_hours_of_the_day_are_other_hours_in_utc_after_the_change():
    office = hours((9, 0), (10, 0))
    assert in_force("2026-10-23T07:00:00+00:00", office) == "sale"
    assert in_force("2026-10-26T07:00:00+00:00", office) == ""
    assert in_force("2026-10-26T08:00:00+00:00", office) == "sale"


def test_days_can_have_a_first_and_a_last():
    once = hours((0, 0), (0, 0), first_day=date(2026, 11, 27), last_day=date(2026, 11, 27))
    assert in_force("2026-11-26T12:00:00+01:00", once) == ""
    assert in_force("2026-11-27T12:00:00+01:00", once) == "sale"
    assert in_force("2026-11-28T12:00:00+01:00", once) == ""


def overlap(*schedules):
    return first_overlap(schedules, today=date(2026, 11, 21))


def test_hours_that_touch_do_not_overlap():
    assert overlap(hours((8, 0), (12, 0)), hours((12, 0), (18, 0), name="late")) is None


@pytest.mark.parametrize(
    "other",
    [
        hours((11, 59), (12, 30), name="late"),
        hours((0, 0), (0, 0), name="all day"),
        hours((20, 0), (8, 1), name="night"),
        hours((6, 0), (7, 30), zone="UTC", name="elsewhere"),
    ],
)
def test_overlaps_are_found_over_midnight_and_over_zones(other):
    found = overlap(hours((8, 0), (12, 0)), other)
    assert {span.hours.name for span in found} == {"sale", other.name}


def test_an_overlap_that_only_daylight_saving_brings_is_found():
    """11:00 in Berlin is 10:00 UTC in winter and 09:00 in summer."""
    berlin = hours((11, 0), (12, 0), name="berlin")
    greenwich = hours((9, 0), (10, 0), zone="UTC", name="utc")
    assert overlap(berlin, greenwich)[0].starts.month in {3, 4}


def test_the_next_change_is_known():
    span = next_span([hours((8, 0), (12, 0))], after=datetime(2026, 11, 21, 9, tzinfo=UTC))
    assert span.starts == datetime(2026, 11, 22, 7, tzinfo=UTC)
