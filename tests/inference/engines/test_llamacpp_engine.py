"""A real llama.cpp behind `serve_model` is registered while it runs, and removed afterwards."""

import json
import signal
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.servers.model import find_model
from tests.embedded.watching import wait_until
from tests.fixtures.servers.serving import Served, ask, recording_console, serving

pytestmark = [pytest.mark.slow, pytest.mark.model, pytest.mark.timeout(120)]


@pytest.fixture
def console():
    with recording_console() as server:
        yield server


@pytest.fixture
def engine(console, tmp_path: Path) -> Iterator[Served]:
    with serving(
        *("smollm2", "--engine", "llamacpp", "--model", str(find_model())),
        *("--max-concurrency", "2"),
        console=f"http://127.0.0.1:{console.server_port}",
        output=tmp_path / "output",
    ) as served:
        wait_until(lambda: len(console.heard) > 1 or served.process.poll(), seconds=60)
        served.look_around()
        yield served


def test_it_registers_serves_and_deregisters(engine, console):
    kind, announced = console.heard[0]
    assert kind == "endpoints"
    assert announced["model"] == "smollm2"
    assert announced["max_concurrency"] == 2
    models = json.loads(ask("/v1/models", announced=announced))
    assert models["data"][0]["id"] == "smollm2"
    load = {"running": 0, "waiting": 0, "prompt_tokens": 0, "generation_tokens": 0}
    assert console.heard[1] == ("heartbeat", load)
    engine.process.send_signal(signal.SIGTERM)
    assert engine.process.wait(timeout=30) == 0
    assert console.heard[-1] == ("delete", None)
    assert engine.is_gone()


def test_an_engine_that_dies_is_deregistered_and_told_of(engine, console):
    engine.family[-1].kill()
    assert engine.process.wait(timeout=30) == 1
    assert console.heard[-1] == ("delete", None)
    assert "The engine was ended by signal 9" in engine.said


def test_a_killed_parent_takes_its_engine_along(engine):
    engine.process.kill()
    wait_until(engine.is_gone)


def test_nobody_is_served_without_the_credential(engine, console):
    announced = {**console.heard[0][1], "credential": "guess"}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask("/metrics", announced=announced)
