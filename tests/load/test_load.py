"""The benchmark measures what it says: its engine, its relay and its load understand each other."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.servers.ports import free_port
from tests.load import load, servers
from tests.load.first_token import measure_first_tokens
from tests.load.report import Figure, show


@pytest.fixture(scope="module")
def engine():
    with servers.upstream(set()) as engine:
        yield engine


@pytest.fixture(scope="module")
def relay(engine):
    with servers.relay(set(), engine) as relay:
        yield relay


@pytest.mark.slow
def test_the_relay_passes_complete_answers_on(relay):
    target = load.Target(name="relay", port=relay.port)

    measured = load.run(load.closed_loop(target, seconds=0.2))

    assert measured.per_second > 0
    assert measured.refused == 0


def test_the_relay_passes_every_token_of_a_stream_on(relay):
    target = load.Target(name="relay", port=relay.port)

    measured = load.measure_streams(target, streams=5, tokens=10)

    assert measured.success == 1.0
    assert 0.15 < measured.seconds_p50 < 1.5


def test_the_open_loop_keeps_its_rate(engine):
    target = load.Target(name="engine", port=engine.port)

    measured = load.measure_latency(target, per_second=50, seconds=0.5)

    assert measured.requests == 25
    assert measured.refused == 0


@pytest.mark.slow
def test_first_tokens_are_counted_at_half_of_what_goes(engine, relay):
    targets = [load.Target(name=each.name, port=each.port) for each in (engine, relay)]
    targets[0] = replace(targets[0], name="engine")

    half = measure_first_tokens(targets, rounds=1, seconds=1)

    assert half.per_second == int(half.most_per_second / 2)
    for subject in half.subjects.values():
        assert subject.refused == 0
        assert subject.rounds[0].requests == pytest.approx(half.per_second, abs=2)
        assert 0 < subject.p50_ms <= subject.p99_ms


def test_a_server_that_does_not_start_says_why():
    command = [sys.executable, "-c", "raise SystemExit('no luck')"]

    with (
        pytest.raises(servers.StartError, match="no luck"),
        servers.running("unlucky", command, port=free_port(), where=set()),
    ):
        pass


def test_the_table_tells_what_was_missed():
    figures = [
        Figure(name="fast", measured=10, at_least=5),
        Figure(name="slow", measured=10, unit="ms", at_most=5),
        Figure(name="away", measured=None, at_most=5),
    ]

    rows = show("title", figures).splitlines()[-3:]

    assert [row.split()[-1] for row in rows] == ["met", "MISSED", "measured"]


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_the_benchmark_runs_with_the_gateway():
    script = Path(__file__).with_name("bench.py")
    short = ["--rounds", "1", "--seconds", "1", "--streams", "20"]

    done = subprocess.run([sys.executable, script, *short], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()
