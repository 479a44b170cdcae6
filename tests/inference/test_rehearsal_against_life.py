"""A rehearsal is put beside life: the same load, the same policy, real engines that come and go.

All is fifteen times faster than usual: looks every second, a machine that asks five times as often.
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
from inference.scaling.rehearsal.estimation import learn, moments_from
from inference.scaling.rehearsal.history import COLUMNS, recorded
from inference.scaling.rehearsal.simulation import rehearse
from tests.fixtures.cast import join
from tests.fixtures.fleet_state import redis
from tests.fixtures.gateway import gateway_in_thread
from tests.fixtures.scale_host import scale_host
from tests.fixtures.scaling import make_policy

__all__ = ["redis"]
pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("stack"),
]
STEP = 1.0
SLOTS = 2
REQUEST_SECONDS = 0.5
"""The stand-in's pace: ten tokens, one every twentieth of a second."""
QUIET, BUSY = 2, 9
"""Requests a second: half of what one engine does, and a little more than two of them do."""
PHASES = ((QUIET, 10), (BUSY, 18), (QUIET, 15))
"""At what rate, for how many seconds. The first is longer than a limit's period: the first replica
was ordered before anything was recorded, and counts for that limit in life alone.
"""
MANNERS = {
    "up_percent": None,
    "up_replicas": 1,
    "down_percent": None,
    "down_replicas": 1,
    "down_window": 5,
}
MOST_LATE = 3
PERIODS = {"up_replicas_seconds": 6, "down_replicas_seconds": 3}
"""Shorter than looks are apart in life, so no form would take them."""


class Stream:
    """Requests at a given rate, whatever becomes of them; `waits` is what each met."""

    def __init__(self, url, key):
        self._url, self._key = url, key
        self.waits, self.failures = [], []
        self._threads = []

    def run(self, phases):
        """Returns when the last one was sent."""
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
    make_policy(pool, *signals, mode="apply", actuator="process", max_replicas=3, **MANNERS)
    ScalingPolicy.objects.update(**PERIODS)
    return pool


@pytest.fixture
def faster(monkeypatch, settings):
    monkeypatch.setattr(evaluation, "SLOT_SECONDS", STEP)
    monkeypatch.setattr(scale_host_api, "ASK_AGAIN_SECONDS", 0.2)
    settings.HEARTBEAT_SECONDS = 1


def look_until(condition, *, seconds=60):
    """A look in every slot, as beat has it done, until `condition` holds."""
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
    """Life at fifteen times its speed needs a machine that keeps up: one that does not look every
    second measures itself.
    """
    gaps = [after.at - before.at for before, after in itertools.pairwise(found)]
    late = sum(gap > STEP for gap in gaps)
    if late > MOST_LATE:
        pytest.skip(f"The machine is too busy to look every second: {late} looks came late.")


def lived_changes(pool, *, since):
    """When the order changed, and to how many."""
    rows = ScalingDecision.objects.filter(pool=pool, outcome="applied", at__gte=since)
    return [(each.at.timestamp(), each.desired) for each in rows.order_by("at")]


def rehearsed_changes(found):
    return [
        (before.at, after.replicas)
        for before, after in itertools.pairwise(found.points)
        if before.replicas != after.replicas
    ]


def live_through(pool, url):
    """Returns when it began, and what the requests of all phases met."""
    stream = Stream(url, join("acme").key)
    began = datetime.fromtimestamp(time.time() // STEP * STEP, tz=UTC)
    sending = threading.Thread(target=stream.run, args=(PHASES,))
    sending.start()
    look_until(lambda: not sending.is_alive(), seconds=90)
    stream.finish()
    return began, stream


@pytest.mark.nightly  # life at fifteen times its speed keeps pace with nothing else on the machine
def test_a_rehearsal_of_what_was_recorded_says_what_happened(
    pool, redis, faster, live_server, tmp_path
):
    """As many changes, each within a look; replica-hours within 20 %; waiting within a third."""
    machine = scale_host(pool, tmp_path, console=live_server.url, route="paced")
    with machine, gateway_in_thread() as url:
        look_until(lambda: ModelEndpoint.objects.filter(state="ready").count() == 1)
        began, stream = live_through(pool, url)
        look_until(lambda: ModelEndpoint.objects.filter(state="ready").count() == 1, seconds=20)
    assert stream.failures == []
    found = samples(pool, since=began)
    ensure_punctual(found)
    learned = learn(found, slots=SLOTS)
    draft = stored_draft(pool)
    said = rehearse(
        lambda at: rules_at(draft, at),
        moments_from(found, step=STEP),
        capacity=learned.capacity,
        step=STEP,
    )
    lived, rehearsed = lived_changes(pool, since=began), rehearsed_changes(said)
    told = f"{lived} lived, {rehearsed} rehearsed, {learned}"
    assert [count for _, count in lived] == [count for _, count in rehearsed] == [2, 3, 2, 1], told
    late = [abs(one - two) for (one, _), (two, _) in zip(lived, rehearsed, strict=True)]
    assert max(late) <= STEP + 0.5, told
    assert said.replica_hours == pytest.approx(said.replica_hours_then, rel=0.2)
    p95 = quantiles(stream.waits, n=20)[-1]
    assert said.wait_p95 == pytest.approx(p95, rel=0.33, abs=0.3), told
