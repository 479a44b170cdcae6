"""An operator says how a pool scales, sees what comes of it, and tries another policy out."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from inference import services as inference
from inference.models import PoolSample, ScalingSignal
from inference.scaling.evaluation import evaluate_pools
from tests.browser.test_console import sign_in
from tests.fixtures.fleet.fleet_state import redis, report
from tests.fixtures.fleet.scaling import engine, load, make_policy

__all__ = ["load", "redis", "report"]
pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def small(transactional_db):
    return inference.create_pool(name="small", engine="vllm")


def record(pool, *, steps=700):
    """A wave of load, and the replicas that followed it."""
    now = timezone.now()
    for number in range(steps):
        wave = 20 + 18 * ((number // 60) % 4)
        count = 2 + (number // 60) % 4
        PoolSample.objects.create(
            pool=pool,
            at=now - timedelta(seconds=15 * (steps - number)),
            replicas=count + (number % 60 < 6),
            ready=count,
            desired=count + 1,
            min_replicas=1,
            max_replicas=8,
            in_flight=wave * 0.8,
            waiting=max(0, wave - 60 + number % 7),
            request_rate=wave / 5,
        )


def elsewhere(function, *args, **facts):
    """On a thread: the browser's driver keeps an event loop in this one."""

    def call():
        try:
            return function(*args, **facts)
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(call).result()


@pytest.fixture
def policy(small):
    record(small, steps=50)
    return make_policy(small, max_replicas=4)


@pytest.fixture
def busy(policy, small, load):
    """Ninety wait for its one engine."""
    load(small, 90, engine(small, now=timezone.now()), in_flight=12)


def test_a_policy_is_made_from_a_preset(small, redis, page):
    sign_in(page)
    page.goto("/admin/scaling/small/")
    page.click("text=Chat: short waits")
    assert page.input_value("#id_signals-0-target") == "14.4"
    page.click("[name=_save]")
    page.wait_for_selector("text=was added successfully")
    assert elsewhere(ScalingSignal.objects.count) == 2


def test_the_page_follows_what_is_decided(busy, page):
    sign_in(page)
    page.goto("/admin/scaling/small/")
    elsewhere(evaluate_pools, now=timezone.now())
    page.wait_for_selector("text=Why not 9?", timeout=10_000)


def test_two_drafts_are_rehearsed(policy, redis, page):
    sign_in(page)
    page.goto("/admin/scaling/small/rehearse/")
    page.fill("#id_b-max_replicas", "3")
    page.click("#rehearse button")
    page.wait_for_selector("text=Results")
    assert page.locator("polyline").count() >= 5
