"""A rehearsal is compared with real scaling: the same load, the same policy, real engines.

Time runs fifteen times faster: evaluations every second, and a scale host that polls five times
as often.
"""

import itertools
import json
import threading
import time
import urllib.request
from datetime import UTC, datetime
from statistics import quantiles

import pytest
from django.utils import timezone

from inference import services
from inference.api import scale_host as scale_host_api
from inference.models import ModelEndpoint, PoolSample, ScalingDecision, ScalingPolicy
from inference.scaling import evaluation
from inference.scaling.policies.mapping import Signal
from inference.scaling.rehearsal.drafts import rules_at, stored_draft
from inference.scaling.rehearsal.estimation import estimate_capacity, moments_from
from inference.scaling.rehearsal.history import COLUMNS, recorded
from inference.scaling.rehearsal.simulation import rehearse
from tests.fixtures.cast import join
from tests.fixtures.fleet.fleet_state import redis
from tests.fixtures.fleet.scaling import make_policy
from tests.fixtures.gateway import gateway_in_thread
from tests.fixtures.servers.scale_host import scale_host

__all__ = ["redis"]
pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("stack"),
]
STEP = 1.0
SLOTS = 2
REQUEST_SECONDS = 0.5
"""Duration of a request of the stand-in: ten tokens of 50 ms."""
QUIET, BUSY = 2, 9
"""Requests per second: half the capacity of one engine, and slightly above that of two."""
PHASES = ((QUIET, 10), (BUSY, 18), (QUIET, 15))
"""Rates with their seconds. The first is longer than the period of a limit: the first replica was
started before the recording, and counts for that limit only in the real run.
"""
BEHAVIOR = {
    "up_percent": None,
    "up_replicas": 1,
    "down_percent": None,
    "down_replicas": 1,
    "down_window": 5,
}
MOST_LATE = 3
PERIODS = {"up_replicas_seconds": 6, "down_replicas_seconds": 3}
"""Shorter than the usual interval of evaluations, so forms do not accept them."""


class Stream:
    """Sends requests at a given rate, whatever their results; `waits` are their times."""

    def __init__(self, url, key):
        self._url, self._key = url, key
        self.waits, self.failures = [], []
        self._threads = []

    def run(self, phases):
        """Send all requests of the phases."""
        due = time.monotonic()
        for rate, seconds in phases:
            for _ in range(int(rate * seconds)):
                time.sleep(max(0.0, due - time.monotonic()))
                self._send()
                due += 1 / rate

    def _send(self):
        self._threads.append(threading.Thread(target=self._ask))
        self._threads[-1].start()

    def _ask(self):
        body = {"model": "paced", "messages": [{"role": "user", "content": "hello"}]}
        request = urllib.request.Request(
            f"{self._url}/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        began = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
        except OSError as error:
            self.failures.append(repr(error))
        else:
            self.waits.append(max(0.0, time.monotonic() - began - REQUEST_SECONDS))

    def finish(self):
        for each in self._threads:
            each.join()


@pytest.fixture
def pool(transactional_db):
    pool = services.create_pool(name="paced", engine="vllm", queue_seconds=60, queue_length=1000)
    services.create_route(name="paced", pool=pool)
    signals = (Signal(kind="in_flight", target=1.7), Signal(kind="waiting", target=2))
    make_policy(pool, *signals, mode="apply", actuator="process", max_replicas=3, **BEHAVIOR)
    ScalingPolicy.objects.update(**PERIODS)
    return pool


@pytest.fixture
def faster(monkeypatch, settings):
    monkeypatch.setattr(evaluation, "SLOT_SECONDS", STEP)
    monkeypatch.setattr(scale_host_api, "POLL_SECONDS", 0.2)
    settings.HEARTBEAT_SECONDS = 1


def look_until(condition, *, seconds=60):
    """Evaluate in every slot, as Celery beat does, until `condition` holds."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, list(ScalingDecision.objects.values_list("reason", "note"))
        evaluation.evaluate_pools(now=timezone.now())
        time.sleep(STEP - time.time() % STEP + 0.05)


def samples(pool, *, since):
    rows = PoolSample.objects.filter(pool=pool, at__gte=since).order_by("at")
    columns = ("at", "replicas", "ready", *COLUMNS)
    return [recorded(row, seconds=STEP) for row in rows.values(*columns)]


def ensure_punctual(found):
    """Skip the test on a machine that is too slow to evaluate every second."""
    gaps = [after.at - before.at for before, after in itertools.pairwise(found)]
    late = sum(gap > STEP for gap in gaps)
    if late > MOST_LATE:
        pytest.skip(f"The machine is too busy to look every second: {late} looks came late.")


def lived_changes(pool, *, since):
    """Return the times and values of the changes that were applied."""
    rows = ScalingDecision.objects.filter(pool=pool, outcome="applied", at__gte=since)
    return [(each.at.timestamp(), each.desired) for each in rows.order_by("at")]


def rehearsed_changes(found):
    return [
        (before.at, after.replicas)
        for before, after in itertools.pairwise(found.points)
        if before.replicas != after.replicas
    ]


def live_through(pool, url):
    """Run the phases. Return the start time and the stream of requests."""
    stream = Stream(url, join("acme").key)
    began = datetime.fromtimestamp(time.time() // STEP * STEP, tz=UTC)
    sending = threading.Thread(target=stream.run, args=(PHASES,))
    sending.start()
    look_until(lambda: not sending.is_alive(), seconds=90)
    stream.finish()
    return began, stream


@pytest.mark.nightly  # at fifteen times the speed it needs an idle machine
def test_a_rehearsal_of_what_was_recorded_says_what_happened(
    pool, redis, faster, live_server, tmp_path
):
    """The same changes within one evaluation; replica-hours within 20 %, waits within a third."""
    machine = scale_host(pool, tmp_path, console=live_server.url, route="paced")
    with machine, gateway_in_thread() as url:
        look_until(lambda: ModelEndpoint.objects.filter(state="ready").count() == 1)
        began, stream = live_through(pool, url)
        look_until(lambda: ModelEndpoint.objects.filter(state="ready").count() == 1, seconds=20)
    assert stream.failures == []
    found = samples(pool, since=began)
    ensure_punctual(found)
    estimate = estimate_capacity(found, slots=SLOTS)
    draft = stored_draft(pool)
    said = rehearse(
        lambda at: rules_at(draft, at),
        moments_from(found, step=STEP),
        capacity=estimate.capacity,
        step=STEP,
    )
    lived, rehearsed = lived_changes(pool, since=began), rehearsed_changes(said)
    figures = f"{lived} lived, {rehearsed} rehearsed, {estimate}"
    assert [count for _, count in lived] == [count for _, count in rehearsed] == [2, 3, 2, 1], (
        figures
    )
    late = [abs(one - two) for (one, _), (two, _) in zip(lived, rehearsed, strict=True)]
    assert max(late) <= STEP + 0.5, figures
    assert said.replica_hours == pytest.approx(said.recorded_replica_hours, rel=0.2)
    p95 = quantiles(stream.waits, n=20)[-1]
    assert said.wait_p95 == pytest.approx(p95, rel=0.33, abs=0.3), figures
