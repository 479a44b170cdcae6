"""CPU, memory and GPU come from Prometheus; missing values have a reason."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from inference.scaling.policies.mapping import Signal
from inference.scaling.signals.prometheus import query_prometheus
from tests.fixtures.servers.ports import free_port

CPU = Signal(kind="cpu", target=50, query="avg(cpu)")


def vector(*values):
    result = [{"metric": {}, "value": [1.0, str(value)]} for value in values]
    return 200, {"status": "success", "data": {"resultType": "vector", "result": result}}


@pytest.fixture
def prometheus(settings):
    """A fake Prometheus that responds to each query with the entry of `answers`."""
    answers, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            query = parse_qs(urlsplit(self.path).query)["query"][0]
            asked.append(query)
            status, body = answers[query]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args):
            """Suppress the log of requests."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    settings.PROMETHEUS_URL = f"http://127.0.0.1:{server.server_port}"
    yield answers, asked
    server.shutdown()
    server.server_close()


def test_the_mean_of_the_answer_is_the_value(prometheus):
    prometheus[0]["avg(cpu)"] = vector(40, 60)
    reading = query_prometheus({1: [CPU]})[1]["cpu"]
    assert (reading.value, reading.reporting) == (50, 2)


def test_a_query_of_many_pools_is_asked_once(prometheus):
    prometheus[0]["avg(cpu)"] = vector(40)
    found = query_prometheus({pool: [CPU] for pool in range(50)})
    assert prometheus[1] == ["avg(cpu)"]
    assert {each["cpu"].value for each in found.values()} == {40}


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (vector(), "no series for this query"),
        (vector("NaN"), "no series for this query"),
        ((400, {"status": "error"}), "status 400"),
        ((200, ["odd"]), "returned no numbers"),
        (vector("many"), "returned no numbers"),
    ],
)
def test_no_number_is_a_missing_signal(prometheus, answer, note):
    prometheus[0]["avg(cpu)"] = answer
    reading = query_prometheus({1: [CPU]})[1]["cpu"]
    assert reading.value is None
    assert note in reading.note


def test_a_prometheus_that_is_away_is_a_missing_signal(settings):
    settings.PROMETHEUS_URL = f"http://127.0.0.1:{free_port()}"
    assert "Prometheus: The request failed" in query_prometheus({1: [CPU]})[1]["cpu"].note


def test_nobody_is_asked_where_no_signal_needs_it(settings):
    settings.PROMETHEUS_URL = "http://127.0.0.1:1"
    assert query_prometheus({1: [Signal(kind="waiting", target=1)]}) == {1: {}}
