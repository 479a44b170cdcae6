"""The page that explains a request, for every format of decisions in the ledger."""

import re

import pytest
from django.urls import reverse

from inference.endpoints import manual as static_endpoints
from inference.monitoring.routing_decisions import RoutingDecision, read_decision
from tenants import services
from tenants.admission.usage.records import Charge
from tests.fixtures.console.limit_forms import sentences
from tests.fixtures.console.people import make_event, make_person

API = "/api/v1/usage"


def shown(console, asked):
    page = console.get(reverse("admin:explain"), {"id": asked})
    text = re.sub(r"<[^>]+>", " ", sentences(page))
    return " ".join(text.split())


@pytest.fixture
def endpoints(pool):
    return [
        static_endpoints.add_static_endpoint(
            pool=pool, address=f"http://10.0.0.{n}", model="smollm2"
        )
        for n in (5, 6, 7)
    ]


@pytest.fixture
def decision(endpoints):
    first, second, third = (endpoint.public_id for endpoint in endpoints)
    return {
        "strategy": "least_requests",
        "candidates": [
            {"endpoint": first, "in_flight": 3},
            {"endpoint": second, "in_flight": 1},
            {"endpoint": third, "in_flight": 0, "why_not": "ejected"},
        ],
        "chosen": [second],
        "retries": [{"endpoint": first, "error": "upstream_failed", "after_ms": 12.4}],
        "waited_ms": 250,
        "hedged": True,
        "fallback": "small",
    }


def test_without_an_id_it_says_what_it_is_for(console, acme):
    assert "Enter the id of a request" in shown(console, "")


def test_an_unknown_id_leads_to_the_last_refusals(console, acme):
    page = console.get(reverse("admin:explain"), {"id": "req_nothing"})
    assert "The ledger has no request with this id" in sentences(page)
    assert reverse("admin:tenants_tenant_limits", args=(acme.pk,)) in page.content.decode()


def test_it_says_who_asked_and_what_it_cost(console, acme, rival):
    key = services.issue_key(tenant=acme, name="Laptop").key
    charge = Charge(counter="tenant|tokens", window="1793491200-1796083200", amount=1234)
    facts = {"api_key_id": key.pk, "agent": "helper", "agent_revision": 4, "cost_micro": 2_500_000}
    event = make_event(acme, charges=(charge,), **facts)
    text = shown(console, event.request_id)
    assert "Tenant Acme API key Laptop" in text
    assert "helper, revision 4" in text
    assert "1,000 tokens, 0 of them cached" in text
    assert "Cost 2.50" in text
    assert "1,234 of tokens" in text


def test_a_call_of_a_tool_without_a_model_says_so(console, acme):
    event = make_event(acme, door="mcp", route="", endpoint="", decision={"tool": "calculator"})

    text = shown(console, event.request_id)

    assert "none: the tool calculator" in text
    assert "Model none by mcp" in text
    assert "It called the tool calculator, which needs no model." in text


def test_it_says_why_this_endpoint_and_not_the_others(console, acme, endpoints, decision):
    event = make_event(acme, endpoint=endpoints[1].public_id, pool="small", decision=decision)
    text = shown(console, event.request_id)
    assert "Answered by http://10.0.0.6 of the pool small" in text
    assert "the endpoint with the fewest running requests for its size" in text
    assert "http://10.0.0.5 3 it was tried and failed" in text
    assert "http://10.0.0.7 0 it was ejected after failures" in text
    assert "http://10.0.0.6 1 chosen" in text
    assert "upstream failed after 12 ms" in text
    assert "It was queued for 250 ms" in text
    assert "fallback pool small was used" in text
    assert "sent to a second endpoint" in text


def test_the_time_is_divided(console, acme, decision):
    event = make_event(acme, ttft_ms=400, duration_ms=1000, decision=decision, endpoint="gone")
    text = shown(console, event.request_id)
    assert "250 ms queued" in text
    assert "150 ms until the first token" in text
    assert "600 ms until the end" in text


def test_a_plain_request_is_explained_in_a_sentence(console, acme, endpoints):
    event = make_event(acme, endpoint=endpoints[0].public_id, pool="small")
    assert "The first endpoint that was chosen answered" in shown(console, event.request_id)


def test_the_form_of_the_first_version_is_understood(console, acme, endpoints):
    first, second, _ = (endpoint.public_id for endpoint in endpoints)
    old = {"strategy": "least_requests", "unreachable": [first]}
    event = make_event(acme, endpoint=second, decision=old)
    text = shown(console, event.request_id)
    assert "http://10.0.0.5 unreachable" in text
    assert "An earlier endpoint failed" in text


def test_a_request_that_went_nowhere_is_explained(console, acme):
    event = make_event(acme, status="failed", error_code="no_endpoint_available")
    assert "It was not sent to an endpoint" in shown(console, event.request_id)


def test_an_endpoint_that_is_gone_keeps_its_id(console, acme):
    event = make_event(acme, endpoint="gone12345")
    assert "Answered by gone12345" in shown(console, event.request_id)


@pytest.mark.parametrize(
    "kept",
    [
        *(None, [], "text", 7, {}, {"candidates": "all"}, {"retries": [1, None]}),
        {"candidates": [{"endpoint": 5, "in_flight": "many", "why_not": None}], "chosen": 3},
        {"strategy": "dice", "waited_ms": "long", "hedged": None, "fallback": []},
    ],
)
def test_what_is_strange_in_a_decision_is_no_error(kept):
    assert isinstance(read_decision(kept), RoutingDecision)


def test_a_strategy_that_nobody_knows_is_told_as_it_is(console, acme):
    event = make_event(acme, endpoint="e1", decision={"strategy": "dice"})
    assert "the choice of dice" in shown(console, event.request_id)


def test_the_clients_id_finds_all_its_requests(console, acme, rival):
    make_event(acme, 1, client_request_id="order-7")
    make_event(rival, 2, client_request_id="order-7")
    text = shown(console, "order-7")
    assert "req_acme_1" in text
    assert "req_rival_2" in text


def test_a_correction_is_counted_in(console, acme):
    make_event(acme, kind="abandoned")
    make_event(acme, kind="correction", prompt_tokens=-400, completion_tokens=-34)
    text = shown(console, "req_acme_1")
    assert "Prompt 600 tokens" in text
    assert "Corrected 1 time" in text


def test_what_a_client_wrote_is_escaped(console, acme):
    make_event(acme, client_request_id="<script>alert(1)</script>")
    page = console.get(reverse("admin:explain"), {"id": "<script>alert(1)</script>"})
    assert "<script>alert" not in page.content.decode()


def test_the_ledger_leads_to_the_explanation(console, acme):
    event = make_event(acme)
    place = f"{reverse('admin:explain')}?id={event.request_id}"
    lists = console.get(reverse("admin:tenants_usageevent_changelist"))
    assert place in lists.content.decode()
    action = reverse("admin:tenants_usageevent_explain", args=(event.pk,))
    assert console.get(action)["Location"] == place


def test_it_asks_few_questions(console, acme, decision, django_assert_max_num_queries):
    for number in range(20):
        make_event(acme, number, client_request_id="order-7", decision=decision)
    with django_assert_max_num_queries(7):
        shown(console, "order-7")


def test_the_api_finds_a_request_by_each_of_its_ids(console, acme):
    event = make_event(acme, client_request_id="order/7", decision={"strategy": "random"})
    for asked in (event.request_id, "order/7", event.pk):
        data = console.get(f"{API}/{asked}").json()
        assert data["request_id"] == event.request_id
        assert data["decision"] == {"strategy": "random"}
    assert console.get(f"{API}/req_nothing").status_code == 404
    assert console.get(f"{API}/{'9' * 5000}").status_code == 404


def test_the_api_tells_tenants_neither_routing_nor_others_requests(client, acme, rival):
    client.force_login(make_person(acme, "viewer"))
    make_event(acme, client_request_id="order-7", endpoint="e1", decision={"strategy": "random"})
    make_event(rival, client_request_id="theirs")
    data = client.get(f"{API}/order-7").json()
    assert data["charges"] == []
    assert not {"endpoint", "pool", "decision"} & set(data)
    assert client.get(f"{API}/theirs").status_code == 404
    assert client.get(f"{API}/req_rival_1").status_code == 404


def test_the_api_tells_corrections(console, acme):
    make_event(acme, kind="abandoned")
    make_event(acme, kind="correction", prompt_tokens=-400)
    data = console.get(f"{API}/req_acme_1").json()
    assert data["kind"] == "abandoned"
    assert [each["prompt_tokens"] for each in data["corrections"]] == [-400]


def test_the_list_is_narrowed_to_the_clients_id(console, acme):
    make_event(acme, 1, client_request_id="order-7")
    make_event(acme, 2)
    assert len(console.get(API, {"client_request_id": "order-7"}).json()["results"]) == 1
