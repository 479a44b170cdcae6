"""The management API of messages, topics and dead letters."""

import pytest
from django.test import Client

from agents.models import Delivery
from tenants.models import Membership
from tests.fixtures.console.people import make_person, rows
from tests.fixtures.runs.messages import make_dead_letter, make_message

API = "/api/v1"


def listed(console, address):
    return console.get(f"{API}/{address}").json()["results"]


def test_messages_are_listed_for_one_tenant_and_shown_with_deliveries(console, acme, rival):
    message = make_message(acme, "completed", "dead")
    make_message(rival)

    (found,) = listed(console, "messages?tenant=acme")
    shown = console.get(f"{API}/messages/{message.public_id}").json()

    assert (found["id"], found["topic"], found["content"]) == (
        message.public_id,
        "news",
        "It rains.",
    )
    assert "deliveries" not in found
    assert [each["state"] for each in shown["deliveries"]] == ["completed", "dead"]
    assert shown["deliveries"][1]["error"]["code"] == "agent_not_published"


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("topic=weather", 1),
        ("sender=writer", 1),
        ("agent=reader-1", 2),
        ("state=dead", 1),
        ("state=dead&agent=reader-0", 0),
        ("since=2100-01-01T00:00:00Z", 0),
        ("until=2100-01-01T00:00:00Z", 3),
    ],
)
def test_messages_are_filtered(console, acme, query, number):
    make_message(acme, "completed", topic="weather")
    make_message(acme, "completed", "dead", sender="writer")
    make_message(acme, "completed", "completed")

    assert len(listed(console, f"messages?tenant=acme&{query}")) == number


def test_a_filter_with_a_value_that_is_not_allowed_is_named(console, acme):
    answer = console.get(f"{API}/messages?tenant=acme&state=lost")

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "state")


def test_a_dead_letter_is_listed_and_replayed_once(console, acme, rival):
    letter = make_dead_letter(acme)
    make_dead_letter(rival)
    place = f"{API}/dead-letters/{letter.public_id}"

    (found,) = listed(console, "dead-letters?tenant=acme&error_code=agent_not_published")
    replayed = console.post(f"{place}/replay")
    again = console.post(f"{place}/replay")

    assert (found["id"], found["message"], found["content"]) == (
        letter.public_id,
        letter.message.public_id,
        "It rains.",
    )
    assert (replayed.json()["state"], replayed.json()["replays"]) == ("pending", 1)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "delivery_not_dead")
    assert listed(console, "dead-letters?tenant=acme") == []
    assert rows(Delivery).filter(state="dead").count() == 1


def test_another_tenants_dead_letter_is_not_found(console, acme, rival):
    letter = make_dead_letter(rival)

    answer = console.post(f"{API}/dead-letters/{letter.public_id}/replay?tenant=acme")

    assert answer.status_code == 404
    assert rows(Delivery).get().state == "dead"


def test_an_agent_subscribes_by_the_api_which_lists_its_topics(console, acme, route):
    body = {"slug": "reader", "name": "Reader", "route": route.name, "subscriptions": ["news"]}
    make_message(acme)

    made = console.post(f"{API}/agents?tenant=acme", body, "application/json")
    place = f"{API}/agents/{made.json()['id']}"
    refused = console.patch(place, {"subscriptions": ["No Topic"]}, "application/json")
    (topic,) = listed(console, "topics?tenant=acme")

    assert made.json()["subscriptions"] == ["news"]
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "subscriptions")
    assert (topic["name"], topic["subscribers"]) == ("news", ["reader"])
    assert (topic["messages_last_hour"], topic["last_message_at"] is not None) == (1, True)


def test_topics_are_narrowed_by_a_prefix(console, acme, route):
    body = {"slug": "reader", "name": "Reader", "route": route.name}
    names = ["orders.new", "orders.paid", "weather"]
    console.post(f"{API}/agents?tenant=acme", {**body, "subscriptions": names}, "application/json")

    found = listed(console, "topics?tenant=acme&prefix=orders.")

    assert [each["name"] for each in found] == ["orders.new", "orders.paid"]


def test_people_of_a_tenant_see_only_its_topics(acme, rival, route):
    for tenant in (acme, rival):
        make_message(tenant, topic=f"topic-of-{tenant.slug}")
    client = Client()
    client.force_login(make_person(acme, Membership.Role.VIEWER))

    assert [each["name"] for each in listed(client, "topics")] == ["topic-of-acme"]
    assert client.get(f"{API}/topics?tenant=rival").status_code == 404
