"""What a due schedule does: late, missed, and after an outage."""

from datetime import UTC, datetime, timedelta

import pytest

from agents.schedules.cron import parse_cron
from agents.schedules.due import MISSED_AFTER, decide_firing

HOURLY = parse_cron("0 * * * *", zone="UTC")
DUE = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize("missed", ["skip", "run_once"])
@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=5), MISSED_AFTER])
def test_a_time_that_is_due_starts_a_run_by_either_policy(late, missed):
    firing = decide_firing(HOURLY, due_at=DUE, now=DUE + late, missed=missed)
    assert (firing.starts, firing.due_at) == (True, DUE)
    assert firing.next_at == DUE + timedelta(hours=1)


@pytest.mark.parametrize(("missed", "starts"), [("skip", False), ("run_once", True)])
def test_an_outage_over_many_times_causes_one_run_at_most(missed, starts):
    now = DUE + timedelta(days=3, minutes=20)
    firing = decide_firing(HOURLY, due_at=DUE, now=now, missed=missed)
    assert firing.starts is starts
    assert firing.next_at == DUE + timedelta(days=3, hours=1)
