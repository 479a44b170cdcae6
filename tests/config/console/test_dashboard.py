"""The dashboard: what an operator sees first."""

import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from config.worker_heartbeat import HEARTBEAT_KEY, record_heartbeat
from inference import services
from inference.endpoints import manual as static_endpoints
from tests.fixtures.console.people import make_event
from tests.fixtures.fleet.fleet_state import endpoint_report, redis, report
from tests.fixtures.servers.ports import free_port

__all__ = ["redis", "report"]


@pytest.fixture(autouse=True)
def _no_canary():
    cache.delete(HEARTBEAT_KEY)
    yield
    cache.delete(HEARTBEAT_KEY)


def dashboard(console):
    return console.get(reverse("admin:index"))


def test_an_empty_platform_says_where_to_begin(console):
    assert "Welcome." in dashboard(console).content.decode()


def test_it_counts_todays_requests_and_tokens_of_all_tenants(console, acme, rival):
    now = timezone.now()
    make_event(acme, started_at=now)
    make_event(rival, started_at=now)
    values = [card["value"] for card in dashboard(console).context["cards"]]
    assert values == ["2", "2,468", "0", "2"]


def test_it_leaves_yesterday_out(console, acme):
    make_event(acme, started_at=timezone.now() - timedelta(days=1))
    assert dashboard(console).context["cards"][0]["value"] == "0"


def test_a_correction_is_no_request(console, acme):
    make_event(acme, kind="correction", prompt_tokens=-10, started_at=timezone.now())
    assert dashboard(console).context["cards"][0]["value"] == "0"


def test_it_counts_failures(console, acme):
    make_event(acme, status="failed", started_at=timezone.now())
    assert dashboard(console).context["cards"][2]["value"] == "1"


def test_it_counts_endpoints_by_state(console, pool):
    static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5:8000", model="m")
    states = {entry["state"]: entry["count"] for entry in dashboard(console).context["endpoints"]}
    assert states == {"ready": 1, "unhealthy": 0, "draining": 0, "expired": 0}


def test_it_sums_up_the_fleet_with_pools_in_trouble_first(console, pool, report):
    services.create_pool(name="empty", engine="vllm")
    endpoint = static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5", model="m")
    report({endpoint.public_id: endpoint_report(in_flight=4)}, queues={"small": 2})
    fleet = dashboard(console).context["fleet"]
    assert [(each["name"], each["ready"]) for each in fleet["pools"]] == [
        ("empty", "0 of 0"),
        ("small", "1 of 1"),
    ]
    assert (fleet["in_flight"], fleet["queue"], fleet["ready"]) == ("4", "2", "1 of 1")


def test_it_says_that_it_does_not_know_what_runs_without_redis(console, pool, settings):
    settings.REDIS_LIMITS_URL = f"redis://127.0.0.1:{free_port()}/0"
    text = dashboard(console).content.decode()
    assert "Redis is unavailable: requests in flight and queued are unknown" in text


def test_it_says_that_no_worker_was_heard(console):
    assert "no task was consumed yet" in dashboard(console).content.decode()


def test_it_says_when_a_worker_was_last_heard(console):
    record_heartbeat()
    # The page may take a second on a busy machine.
    assert re.search(r"last task [0-9] s ago", dashboard(console).content.decode())


def test_it_asks_at_most_ten_questions(console, acme, rival, django_assert_max_num_queries):
    for number in range(20):
        make_event(acme, number)
    with django_assert_max_num_queries(10):
        dashboard(console)


def test_its_hours_have_an_axis_and_a_tooltip_with_the_number_of_requests(console, acme):
    now = timezone.now()
    for number in range(3):
        make_event(acme, number, started_at=now)
    page = dashboard(console)
    drawn = page.context["hours"]
    assert (len(drawn.slices), len(drawn.bars)) == (24, 1)
    assert [tick.label for tick in drawn.y_ticks] == ["0", "1", "2", "3"]
    tooltip = f"{now:%Y-%m-%d %H}:00 UTC: 3 requests"
    assert f"<title>{tooltip}</title>" in page.content.decode()
