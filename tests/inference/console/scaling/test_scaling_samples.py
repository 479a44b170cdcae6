"""Samples of pools are aggregated with age, and finally deleted."""

from datetime import timedelta

import pytest

from inference.models import PoolSample, ScalingDecision
from inference.scaling.signals.rollup import delete_expired, roll_up
from tests.fixtures.fleet.scaling import NOON, at


def sample(pool, seconds, **facts):
    usual = {"replicas": 1, "ready": 1, "at": at(seconds)}
    return PoolSample.objects.create(pool=pool, **{**usual, **facts})


def summed(stretch):
    return PoolSample.objects.filter(stretch=stretch).order_by("at")


def test_five_minutes_are_the_mean_of_their_quarters_of_a_minute(pool):
    for number in range(20):
        sample(pool, 15 * number, waiting=number, replicas=2 if number < 10 else 4)
    roll_up(now=at(600))
    (row,) = summed(300)
    assert (row.at, row.waiting, row.replicas, row.in_flight) == (NOON, 9.5, 3, None)


def test_what_is_not_known_is_not_taken_for_nothing(pool):
    sample(pool, 0, waiting=None)
    sample(pool, 15, waiting=8)
    roll_up(now=at(600))
    assert summed(300).get().waiting == 8


def test_only_what_has_ended_is_summed_up_and_once(pool):
    sample(pool, 0, waiting=1)
    roll_up(now=at(301))
    assert not summed(300).exists()
    roll_up(now=at(600))
    roll_up(now=at(900))
    assert summed(300).count() == 1


def test_hours_are_made_of_five_minutes(pool):
    for number in range(240):
        sample(pool, 15 * number, waiting=number)
    roll_up(now=at(4000))
    assert summed(300).count() == 12
    assert summed(3600).get().waiting == pytest.approx(119.5)


def test_what_is_old_is_forgotten_and_its_sums_stay(pool, settings):
    settings.SAMPLE_DAYS = 7
    sample(pool, 0)
    sample(pool, 0, stretch=300)
    sample(pool, 0, stretch=3600)
    facts = {"replicas": 1, "proposed": 1, "desired": 1, "outcome": "unchanged", "reason": "Fine."}
    ScalingDecision.objects.create(pool=pool, slot=1, at=NOON, mode="apply", **facts)
    assert delete_expired(now=NOON + timedelta(days=6)) == 0
    assert delete_expired(now=NOON + timedelta(days=8)) == 1
    assert delete_expired(now=NOON + timedelta(days=91)) == 2
    assert PoolSample.objects.get().stretch == 3600
