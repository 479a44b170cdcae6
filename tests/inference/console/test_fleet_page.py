"""The fleet's page: pools, endpoints, their live state and actions."""

import re

import pytest
from auditlog.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from inference import services
from inference.endpoints import manual as static_endpoints
from inference.fleet.redis_keys import WORKERS
from inference.models import ModelEndpoint
from tests.fixtures.console.limit_forms import sentences
from tests.fixtures.fleet.fleet_state import beats, endpoint_report, redis, report
from tests.fixtures.servers.ports import free_port

__all__ = ["beats", "redis", "report"]


def action(name, endpoint, back="fleet"):
    return reverse(f"admin:inference_modelendpoint_{name}", args=(endpoint.pk,)) + f"?from={back}"


def shown(console, *, pool=""):
    place = reverse("admin:fleet_pool", args=(pool,)) if pool else reverse("admin:fleet")
    text = re.sub(r"<[^>]+>", " ", sentences(console.get(place)))
    return " ".join(text.split())


@pytest.fixture
def endpoint(pool):
    return static_endpoints.add_static_endpoint(
        pool=pool, address="http://10.0.0.5:8000", model="smollm2"
    )


def test_an_empty_fleet_says_what_to_do_next(console, redis):
    assert "Create a pool" in shown(console)


def test_a_pool_without_endpoints_shows_the_command_that_starts_one(console, redis, route):
    text = shown(console)
    assert "Create a join token" in text
    assert "manage.py serve_model smollm2 --engine vllm" in text


def test_a_pool_without_a_route_is_told(console, redis, pool):
    assert "no model route" in shown(console)


def test_requests_in_flight_are_summed_up_over_the_gateways(console, endpoint, report):
    report({endpoint.public_id: endpoint_report(in_flight=3)}, worker="w1", queues={"small": 2})
    report({endpoint.public_id: endpoint_report(in_flight=4)}, worker="w2", queues={"small": 5})
    text = shown(console)
    assert "7 in flight · 7 of 200 queued" in text
    assert "Gateway workers 2" in text


def test_a_breaker_that_is_open_anywhere_is_shown(console, endpoint, report):
    until = timezone.now().timestamp() + 30
    report({endpoint.public_id: endpoint_report()}, worker="w1")
    report({endpoint.public_id: endpoint_report(breaker="open", ejected_until=until)}, worker="w2")
    text = shown(console)
    assert "breaker open" in text
    assert re.search(r"ejected for (29|30) s", text)


def test_times_to_the_first_token_are_shown(console, endpoint, report):
    slow = endpoint_report(ttft_p50_ms=300, ttft_p95_ms=900, requests=1)
    report(
        {endpoint.public_id: endpoint_report(ttft_p50_ms=100, ttft_p95_ms=200, requests=3)},
        worker="w1",
    )
    report({endpoint.public_id: slow}, worker="w2")
    assert "150 / 900" in shown(console)


def test_a_history_is_drawn(console, endpoint, beats):
    now = timezone.now().timestamp()
    beats(endpoint, now, (600, 2, 0), (300, 9, 4), (5, 1, 0), generation_tokens_per_second=812)
    text = sentences(console.get(reverse("admin:fleet")))
    assert "at most 9 running, 4 waiting" in text
    assert "at most 812 tokens per second" in text
    assert text.count("<polyline") == 3


def test_what_is_told_badly_is_left_out(console, endpoint, redis):
    redis.sadd(WORKERS, "w1")
    redis.set("tenantry:fleet:worker:w1", "{not json")
    redis.xadd(f"tenantry:fleet:history:{endpoint.public_id}", {"at": "soon"})
    assert "no history" in shown(console)


def test_without_redis_the_page_says_so_and_shows_what_the_tables_know(console, endpoint, settings):
    settings.REDIS_LIMITS_URL = f"redis://127.0.0.1:{free_port()}/0"
    text = shown(console)
    assert "Redis is unavailable" in text
    assert "1 of 1 ready" in text
    assert "- in flight" in text


def test_without_gateways_the_page_says_so(console, endpoint, redis):
    assert "No gateway worker has reported" in shown(console)


def test_shares_and_fallbacks_are_told_on_their_pools(console, redis, pool):
    from inference.route_targets import WantedTarget

    other = services.create_pool(name="large", engine="vllm")
    spare = services.create_pool(name="spare", engine="vllm")
    targets = (WantedTarget(pool=other, role="share", weight=3), WantedTarget(pool=spare))
    services.create_route(name="qwen", pool=pool, targets=targets)
    text = shown(console)
    assert "qwen (25 %)" in text
    assert "qwen (75 %)" in text
    assert "qwen (fallback)" in text


def test_the_part_that_refreshes_itself_is_sent_alone(console, endpoint, redis):
    answer = console.get(reverse("admin:fleet"), headers={"HX-Request": "true"})
    assert "http://10.0.0.5:8000" in answer.content.decode()
    assert "<html" not in answer.content.decode()


def test_one_pool_has_a_page_of_its_own(console, endpoint, redis):
    services.create_pool(name="large", engine="vllm")
    assert "large" not in re.sub(r"[\s\S]*As of", "", shown(console, pool="small"))
    assert console.get(reverse("admin:fleet_pool", args=("nowhere",))).status_code == 404


def test_an_address_is_escaped(console, pool, redis):
    pool.endpoints.create(address="http://x/<script>alert(1)</script>", model="<b>m</b>")
    text = console.get(reverse("admin:fleet")).content.decode()
    assert "<script>alert" not in text
    assert "<b>m</b>" not in text


def test_draining_asks_first_and_leads_back_to_the_fleet(console, endpoint, redis):
    assert "Drain this endpoint?" in sentences(console.get(action("drain", endpoint)))
    answer = console.post(action("drain", endpoint))
    assert answer["Location"] == reverse("admin:fleet")
    assert ModelEndpoint.objects.get().state == "draining"
    assert action("activate", endpoint) in console.get(reverse("admin:fleet")).content.decode()


def test_ejecting_needs_a_reason_which_is_audited(console, endpoint, redis, operator):
    assert "This field is required" in sentences(console.post(action("eject", endpoint)))
    console.post(action("eject", endpoint), {"reason": "Broken fan"})
    assert ModelEndpoint.objects.get().breaker_override == "open"
    entry = LogEntry.objects.filter(changes__has_key="breaker").get()
    assert entry.changes["breaker"] == ["automatic", "forced open"]
    assert entry.changes["reason"] == ["", "Broken fan"]
    assert entry.actor == operator
    assert "forced open" in shown(console)


def test_a_forced_breaker_goes_back_to_automatic(console, endpoint, redis):
    console.post(action("hold_closed", endpoint, back="pool"), {"reason": "Looking into it"})
    assert "forced closed" in shown(console)
    answer = console.post(action("release", endpoint, back="pool"))
    assert answer["Location"] == reverse("admin:fleet_pool", args=("small",))
    assert ModelEndpoint.objects.get().breaker_override == ""


def test_a_probe_of_a_dead_endpoint_is_told(console, pool, redis):
    dead = static_endpoints.add_static_endpoint(
        pool=pool, address=f"http://127.0.0.1:{free_port()}", model="m"
    )
    answer = console.post(action("probe", dead), follow=True)
    assert "cannot be reached" in sentences(answer)


def test_it_asks_few_questions_however_many_endpoints_there_are(
    console, pool, route, redis, django_assert_max_num_queries
):
    for number in range(30):
        static_endpoints.add_static_endpoint(
            pool=pool, address=f"http://10.0.1.{number}", model="m"
        )
    with django_assert_max_num_queries(8):
        text = shown(console)
    assert "and 10 more" in text


def test_it_is_closed_to_people_who_are_no_operators(client, acme):
    assert client.get(reverse("admin:fleet")).status_code == 302
    assert client.get(reverse("admin:explain")).status_code == 302
