"""Reports of gateways and engines: aggregated, bounded, and validated."""

import json
import time

import pytest

from inference.admin.sparkline import HEIGHT, WIDTH, draw_load, draw_tokens
from inference.endpoints import manual as static_endpoints
from inference.errors import FleetUnreadable
from inference.fleet.redis_keys import WORKERS
from inference.monitoring.fleet_status import (
    HISTORY_STEPS,
    EndpointLive,
    FleetReport,
    ReportedEndpoint,
    Sample,
    merge,
    read_fleet,
    read_history,
)
from tests.fixtures.fleet.fleet_state import beats, endpoint_report, redis, report
from tests.fixtures.servers.ports import free_port

__all__ = ["beats", "redis", "report"]
NOW = 1_795_250_000.0


@pytest.fixture
def endpoint(pool):
    return static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5", model="m")


def test_nothing_is_known_where_nobody_reports(redis):
    assert (read_fleet().workers, dict(read_fleet().endpoints)) == (0, {})


def test_a_report_in_an_unknown_form_does_not_hide_the_others(redis, report):
    report({"e1": endpoint_report(in_flight=2)}, worker="w1")
    redis.sadd(WORKERS, "w2", "w3", "gone")
    redis.set("tenantry:fleet:worker:w2", json.dumps({"endpoints": {"e1": {"in_flight": "two"}}}))
    redis.set("tenantry:fleet:worker:w3", json.dumps({"endpoints": {}, "version": 9}))
    assert (read_fleet().workers, read_fleet().endpoints["e1"].in_flight) == (2, 2)


@pytest.mark.parametrize(
    ("breakers", "shown"),
    [
        (("closed", "closed"), "closed"),
        (("closed", "half_open"), "half_open"),
        (("half_open", "open"), "open"),
        (("sideways",), "closed"),
    ],
)
def test_the_worst_breaker_is_shown(breakers, shown):
    reports = [
        FleetReport(endpoints={"e1": ReportedEndpoint(breaker=breaker)}) for breaker in breakers
    ]
    assert merge(reports).endpoints["e1"].breaker == shown


def test_an_endpoint_without_requests_has_no_times():
    assert (
        merge([FleetReport(endpoints={"e1": ReportedEndpoint()})]).endpoints["e1"] == EndpointLive()
    )


def test_a_redis_that_is_away_is_one_error(settings):
    settings.REDIS_LIMITS_URL = f"redis://127.0.0.1:{free_port()}/0"
    with pytest.raises(FleetUnreadable):
        read_fleet()
    with pytest.raises(FleetUnreadable):
        read_history(["e1"], now=NOW)


def test_a_history_is_cut_to_a_sample_for_each_step(endpoint, beats):
    beats(endpoint, NOW, *((ago, ago, 0) for ago in range(3595, 0, -5)), kv=0.5)
    samples = read_history([endpoint.public_id], now=NOW)[endpoint.public_id]
    assert HISTORY_STEPS <= len(samples) <= HISTORY_STEPS + 1
    assert (samples[-1].running, samples[-1].kv) == (5, 0.5)
    assert [each.at for each in samples] == sorted(each.at for each in samples)


def test_what_is_older_than_an_hour_is_not_read(endpoint, beats):
    beats(endpoint, NOW, (4000, 9, 9), (10, 1, 0))
    (sample,) = read_history([endpoint.public_id], now=NOW)[endpoint.public_id]
    assert (sample.running, sample.tokens_per_second) == (1, None)


def test_fifty_histories_are_read_in_a_moment(redis):
    with redis.pipeline(transaction=False) as writing:
        for number in range(50 * 720):
            at = NOW - 5 * (720 - number % 720) + 1
            entry = {"at": at, "running": 1, "waiting": 0, "kv": 0.4, "prompt_tokens": 5}
            writing.xadd(
                f"tenantry:fleet:history:e{number // 720}", entry, id=f"{int(1000 * at)}-*"
            )
        writing.execute()
    began = time.thread_time()
    found = read_history([f"e{number}" for number in range(50)], now=NOW)
    assert len(found["e49"]) >= HISTORY_STEPS
    assert time.thread_time() - began < 2


def test_a_line_stays_in_its_frame():
    samples = [Sample(at=NOW - ago, running=value) for ago, value in ((9000, 0), (60, 50), (0, 7))]
    chart = draw_load(samples, now=NOW)
    points = [tuple(map(float, p.split(","))) for p in " ".join(chart.lines[0].segments).split()]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert min(y for _, y in points) == 1


def test_a_line_is_interrupted_where_nobody_told_anything():
    samples = [Sample(at=NOW - ago, running=1) for ago in (2000, 1990, 100, 90)]
    assert len(draw_load(samples, now=NOW).lines[0].segments) == 2


def test_a_single_sample_is_a_dot_and_none_is_nothing():
    chart = draw_load([Sample(at=NOW, running=1)], now=NOW)
    assert len(chart.lines[0].segments[0].split()) == 2
    assert draw_load([], now=NOW) is None
    assert draw_tokens([Sample(at=NOW)], now=NOW) is None
