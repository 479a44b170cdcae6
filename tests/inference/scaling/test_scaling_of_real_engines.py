"""Load starts a second and a third real engine, which are drained afterwards without errors."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from embedded.servers.model import find_model
from inference import services
from inference.endpoints import join_tokens
from inference.models import ModelEndpoint, ScalingDecision, ScalingPolicy
from inference.scaling import evaluation
from inference.scaling.policies import services as policy_services
from inference.scaling.policies.mapping import Signal
from tests.fixtures.cast import join
from tests.fixtures.gateway import gateway_in_thread
from tests.fixtures.servers.ports import free_port

CHECKOUT = Path(__file__).resolve().parents[3]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.model,
    pytest.mark.timeout(300),
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("stack"),
]


class Crowd:
    """Clients that send requests one after the other, and count failures."""

    def __init__(self, url, key):
        self.url, self.key = url, key
        self.answered, self.failures, self.size = 0, [], 0

    def ask(self):
        body = {
            "model": "smollm2",
            "messages": [{"role": "user", "content": "Tell a long story."}],
            "max_tokens": 48,
        }
        request = urllib.request.Request(
            f"{self.url}/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            answer.read()

    def person(self, number):
        while number < self.size:
            try:
                self.ask()
                self.answered += 1
            except urllib.error.HTTPError as error:
                self.failures.append((error.code, error.read()))
            except OSError as error:
                self.failures.append(repr(error))

    def grow(self, size):
        before, self.size = self.size, size
        threads = [threading.Thread(target=self.person, args=(n,)) for n in range(before, size)]
        for each in threads:
            each.start()
        return threads


@pytest.fixture
def pool(transactional_db):
    pool = services.create_pool(name="small", engine="llamacpp", queue_seconds=120)
    services.create_route(name="smollm2", pool=pool)
    policy = ScalingPolicy(
        pool=pool, mode="apply", actuator="process", max_replicas=3, down_window=5
    )
    policy_services.save_policy(
        policy=policy,
        signals=[Signal(kind="in_flight", target=1.7), Signal(kind="waiting", target=2)],
        now=policy_now(),
    )
    return pool


def policy_now():
    from django.utils import timezone

    return timezone.now()


@pytest.fixture
def host(live_server, pool, tmp_path):
    _, secret = join_tokens.issue_join_token(pool=pool, name="t")
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    passed = ("--engine", "llamacpp", "--model", str(find_model()), "--max-concurrency", "2")
    place = ("--port", str(free_port(slots=3)), "--slots", "3", "--console", live_server.url)
    with (tmp_path / "output").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "scale_host", "smollm2", *place, "--", *passed],
            cwd=CHECKOUT,
            env={**kept, "TENANTRY_JOIN_TOKEN": secret},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    yield process
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    assert "Traceback" not in (tmp_path / "output").read_text()


def evaluate_until(condition, *, seconds):
    """Evaluate as Celery beat does, only more often."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        evaluation.evaluate_pools(now=policy_now())
        if condition():
            return
        time.sleep(1)
    raise AssertionError([d.reason + d.note for d in ScalingDecision.objects.all()[:5]])


def ready():
    return ModelEndpoint.objects.filter(state="ready").count()


def test_engines_come_and_go_with_the_load_and_no_request_fails(pool, host, monkeypatch, settings):
    monkeypatch.setattr(evaluation, "SLOT_SECONDS", 1)
    settings.HEARTBEAT_SECONDS = 1
    acme = join("acme")
    evaluate_until(lambda: ready() == 1, seconds=60)
    with gateway_in_thread() as url:
        crowd = Crowd(url, acme.key)
        threads = crowd.grow(8)
        evaluate_until(lambda: ready() == 3, seconds=90)
        busy = crowd.answered
        crowd.size = 1
        evaluate_until(lambda: ready() == 1, seconds=120)
        crowd.size = 0
        for each in threads:
            each.join()
    assert crowd.failures == []
    assert busy < crowd.answered
    changes = ScalingDecision.objects.filter(outcome="applied").order_by("at")
    assert {each.desired for each in changes} >= {1, 3}
