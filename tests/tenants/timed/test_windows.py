"""Windows tile the line: every day of three years, in zones whose clocks do strange things."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenants.windows import Calendar, Window, window_at, window_of_id, windows_after

ZONES = (
    *("Asia/Tokyo", "Asia/Kolkata", "Africa/Cairo", "America/Havana", "America/Santiago"),
    *("Asia/Beirut", "Atlantic/Azores", "Australia/Lord_Howe", "Antarctica/Troll"),
    *("Pacific/Apia", "UTC", "Europe/Berlin"),
)
FROM, UNTIL = datetime(2025, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
NEAR_CHANGES_OF_CLOCKS = (0, 2, 3, 23)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LENGTHS = {
    "hour": {0.5, 1},
    "day": {22, 23, 23.5, 24, 24.5, 25, 26},
    "week": {7 * 24 + more for more in (-2, -1, -0.5, 0, 0.5, 1, 2)},
}


def three_years(calendar, *, until=UNTIL):
    """Every window of 2025 to 2027, each asked for by the moment in which the last one ends."""
    windows = [window_at(FROM, calendar)]
    while windows[-1].end < until:
        windows.append(window_at(windows[-1].end, calendar))
    return windows


def hours(window):
    return (window.end - window.start) / HOUR


def moments_in(window):
    """The first, the last, and one between."""
    return (window.start, window.start + (window.end - window.start) / 2,
            window.end - timedelta(microseconds=1))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "start_hour",
    [
        pytest.param(hour, marks=[] if hour in NEAR_CHANGES_OF_CLOCKS else pytest.mark.nightly)
        for hour in range(24)
    ],
)
@pytest.mark.parametrize("zone", ZONES)
def test_the_days_of_three_years_tile_the_line(zone, start_hour):
    calendar = Calendar(period="day", zone=zone, start_hour=start_hour)
    days = three_years(calendar)

    assert all(one.end == next_one.start for one, next_one in pairwise(days))
    assert {hours(day) for day in days} <= LENGTHS["day"]
    assert len(days) in {3 * 365, 3 * 365 + 1}
    for day in days:
        assert {window_at(moment, calendar) for moment in moments_in(day)} == {day}


@pytest.mark.slow
@pytest.mark.parametrize("period", ["hour", "week", "month", "quarter"])
@pytest.mark.parametrize("zone", ZONES)
def test_other_periods_of_three_years_tile_the_line(zone, period):
    calendar = Calendar(period=period, zone=zone)
    # A year has as many hours as other periods would have windows in a thousand.
    windows = three_years(calendar, until=FROM + 366 * DAY if period == "hour" else UNTIL)

    assert all(one.end == next_one.start for one, next_one in pairwise(windows))
    assert {hours(each) for each in windows} <= LENGTHS.get(period, {hours(e) for e in windows})
    for window in windows if period != "hour" else windows[::37]:
        assert {window_at(moment, calendar) for moment in moments_in(window)} == {window}


@pytest.mark.slow
@pytest.mark.parametrize("start_hour", [0, 2, 3, 23])
@pytest.mark.parametrize("period", ["week", "month", "quarter"])
@pytest.mark.parametrize("zone", ZONES)
def test_windows_begin_at_the_hour_or_right_after_the_gap(zone, period, start_hour):
    for window in three_years(Calendar(period=period, zone=zone, start_hour=start_hour)):
        local = window.start.astimezone(ZoneInfo(zone))
        before = (window.start - timedelta(seconds=1)).astimezone(ZoneInfo(zone))
        assert (local.hour, local.minute) == (start_hour, 0) or (
            local.utcoffset() != before.utcoffset()
        )
        assert {"week": local.weekday() == 0, "month": local.day == 1}.get(
            period, (local.day, local.month % 3) == (1, 1)
        )


def start(calendar, *moment, zone):
    """When, on the clocks of `zone`, the window of a moment begins, and at which offset."""
    window = window_at(datetime(*moment, tzinfo=ZoneInfo(zone)), calendar)
    return window.start.astimezone(ZoneInfo(zone)).isoformat()


ODD_DAYS = {
    "Africa/Cairo": ((2025, 4, 25, 12), "2025-04-25T01:00:00+03:00"),
    "America/Havana": ((2026, 3, 8, 12), "2026-03-08T01:00:00-04:00"),
    "America/Santiago": ((2026, 9, 6, 12), "2026-09-06T01:00:00-03:00"),
    "Asia/Beirut": ((2026, 3, 29, 12), "2026-03-29T01:00:00+03:00"),
    "Atlantic/Azores": ((2026, 3, 29, 12), "2026-03-29T01:00:00+00:00"),
    "Pacific/Apia": ((2011, 12, 31, 12), "2011-12-31T00:00:00+14:00"),
}
"""Days without a midnight."""


@pytest.mark.parametrize("zone", ODD_DAYS)
def test_a_day_without_midnight_begins_right_after_the_gap(zone):
    moment, begins = ODD_DAYS[zone]

    assert start(Calendar(period="day", zone=zone), *moment, zone=zone) == begins


def test_a_double_midnight_is_taken_the_first_time():
    calendar = Calendar(period="day", zone="America/Havana")

    # At 1:00 clocks go back to 0:00.
    assert start(calendar, 2026, 11, 1, 12, zone="America/Havana") == "2026-11-01T00:00:00-04:00"


def test_the_day_that_samoa_left_out_is_no_window():
    calendar = Calendar(period="day", zone="Pacific/Apia")
    before = window_at(datetime(2011, 12, 30, 9, 59, tzinfo=UTC), calendar)
    after = window_at(before.end, calendar)

    assert (before.end, hours(before), hours(after)) == (
        datetime(2011, 12, 30, 10, tzinfo=UTC), 24, 24
    )  # fmt: skip
    assert after.start.astimezone(ZoneInfo("Pacific/Apia")).day == 31


def test_a_shift_of_half_an_hour_moves_a_boundary_by_half_an_hour():
    zone = "Australia/Lord_Howe"
    calendar = Calendar(period="day", zone=zone, start_hour=2)

    assert start(calendar, 2026, 10, 4, 12, zone=zone) == "2026-10-04T02:30:00+11:00"


def test_an_hour_is_a_real_hour_while_clocks_go_back():
    calendar = Calendar(period="hour", zone="Europe/Berlin")
    first = window_at(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), calendar)
    second = window_at(first.end, calendar)

    # Both are shown as 2 to 3 o'clock.
    assert (hours(first), hours(second)) == (1, 1)
    assert second.start == datetime(2026, 10, 25, 1, tzinfo=UTC)


@pytest.mark.parametrize(("zone", "minute"), [("Asia/Kolkata", 30), ("Asia/Kathmandu", 15)])
def test_hours_begin_with_the_full_hours_of_the_zone(zone, minute):
    window = window_at(datetime(2026, 1, 1, 12, 50, tzinfo=UTC), Calendar(period="hour", zone=zone))

    assert window.start == datetime(2026, 1, 1, 12, minute, tzinfo=UTC)


def test_half_an_hours_shift_cuts_an_hour_short():
    calendar = Calendar(period="hour", zone="Australia/Lord_Howe")
    # In April 2026 clocks go back from 2:00 to 1:30, at 15:00 UTC.
    short = window_at(datetime(2026, 4, 4, 15, 10, tzinfo=UTC), calendar)

    assert (short.start.hour, short.start.minute, hours(short)) == (15, 0, 0.5)


@pytest.mark.parametrize(("year", "last"), [(2024, 29), (2025, 28), (2028, 29), (2100, 28)])
@pytest.mark.parametrize("day", [29, 30, 31])
def test_an_anchor_late_in_the_month_clamps_and_does_not_drift(day, year, last):
    calendar = Calendar(period="months", anchor=date(2023, 12, day))

    begins = [window_at(datetime(year, m, 1, tzinfo=UTC), calendar).start for m in (2, 3, 4, 5)]

    assert [each.day for each in begins] == [day, min(day, last), day, min(day, 30)]
    assert [each.month for each in begins] == [1, 2, 3, 4]


def test_a_leap_day_is_an_anchor_in_every_year():
    calendar = Calendar(period="months", every=12, anchor=date(2024, 2, 29))
    begins = [window_at(datetime(y, 6, 1, tzinfo=UTC), calendar).start for y in range(2024, 2029)]

    assert [each.day for each in begins] == [29, 28, 28, 28, 29]


def test_ten_days_from_an_anchor_are_ten_days_before_it_too():
    calendar = Calendar(period="days", every=10, anchor=date(2026, 1, 5), zone="Europe/Berlin")

    window = window_at(datetime(2026, 1, 1, tzinfo=UTC), calendar)

    assert window.start.astimezone(ZoneInfo("Europe/Berlin")).date() == date(2025, 12, 26)
    assert window.end.astimezone(ZoneInfo("Europe/Berlin")).date() == date(2026, 1, 5)


def test_an_anchored_calendar_without_an_anchor_is_an_error():
    with pytest.raises(ValueError, match="anchor"):
        window_at(FROM, Calendar(period="days"))


calendars = st.builds(
    Calendar,
    period=st.sampled_from(["hour", "day", "week", "month", "quarter"]),
    zone=st.sampled_from([*ZONES, "Africa/Monrovia", "Asia/Manila", "America/St_Johns"]),
    start_hour=st.integers(0, 23),
) | st.builds(
    Calendar,
    period=st.sampled_from(["days", "months"]),
    zone=st.sampled_from(ZONES),
    start_hour=st.integers(0, 23),
    every=st.integers(1, 366),
    anchor=st.dates(date(2000, 1, 1), date(2040, 1, 1)),
)
moments = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(moments, calendars)
def test_every_moment_lies_in_its_window_and_neighbours_touch(moment, calendar):
    window = window_at(moment, calendar)

    assert moment in window
    assert window_at(window.start, calendar) == window
    assert window_at(window.end - timedelta(microseconds=1), calendar) == window
    assert window_at(window.end, calendar).start == window.end
    assert window_at(window.start - timedelta(microseconds=1), calendar).end == window.start
    assert (window.start.microsecond, window.end.microsecond) == (0, 0)


@given(moments, calendars)
def test_a_windows_id_is_the_window(moment, calendar):
    window = window_at(moment, calendar)

    assert window_of_id(window.id) == window


@pytest.mark.slow
@settings(max_examples=300)
@given(moments, calendars, calendars, st.timedeltas(timedelta(0), timedelta(days=800)))
def test_a_change_of_calendar_leaves_no_gap_and_no_overlap(moment, old, new, later):
    running = window_at(moment, old)
    then = moment + later

    windows = [running, *windows_after(running, new, until=min(then, moment + 300 * HOUR))]

    assert all(one.end == next_one.start for one, next_one in pairwise(windows))
    # Who knows only the running window finds the same ones as who followed on each.
    assert windows[-1] == window_at(min(then, moment + 300 * HOUR), new, pinned=running)


def test_a_pinned_window_ends_as_it_began_and_the_next_one_may_be_short():
    began = datetime(2026, 1, 1, 15, tzinfo=UTC)
    tokyo = Window(start=began, end=began + 24 * HOUR)
    berlin = Calendar(period="day", zone="Europe/Berlin")

    short = window_at(tokyo.end, berlin, pinned=tokyo)

    assert window_at(tokyo.start, berlin, pinned=tokyo) == tokyo
    assert (short.start, hours(short)) == (tokyo.end, 8)
    assert hours(window_at(short.end, berlin, pinned=tokyo)) == 24


def test_before_a_pinned_window_the_older_ones_end_where_it_begins():
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    pinned = Window(start=noon, end=noon + 24 * HOUR)

    before = window_at(noon - HOUR, Calendar(period="day"), pinned=pinned)

    assert (before.end, hours(before)) == (noon, 12)
