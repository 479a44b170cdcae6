"""The console's pages of messages, topics and dead letters."""

from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from agents import services as agents
from agents.messages.topics import list_topics
from agents.models import AgentMessage, Delivery
from tenants.scoping import tenant_scope
from tests.fixtures.console.people import rows
from tests.fixtures.runs.messages import make_dead_letter, make_message


def page(name, *args):
    return reverse(f"admin:agents_{name}", args=args)


def text_of(answer):
    return answer.content.decode()


@pytest.fixture
def reader(acme, route):
    return agents.create_agent(
        tenant=acme, slug="reader", name="Reader", route=route, subscriptions=["news", "weather"]
    )


def test_the_page_of_a_message_shows_each_delivery(console, acme):
    message = make_message(acme, "completed", "dead", content="<script>alert(1)</script>")
    done, dead = rows(Delivery).order_by("pk")

    text = text_of(console.get(page("agentmessage_change", message.pk)))

    assert reverse("admin:agents_run_change", args=(done.run_id,)) in text
    assert page("delivery_change", dead.pk) in text
    assert "agent_not_published: It is not published." in text
    assert "&lt;script&gt;alert(1)" in text


def test_the_list_counts_deliveries_and_asks_no_query_for_each_row(
    console, acme, rival, django_assert_max_num_queries
):
    for _ in range(6):
        make_message(acme, "completed", "dead", "pending", "delivered")
        make_message(rival, topic="", sender="writer")

    with django_assert_max_num_queries(10):
        text = text_of(console.get(page("agentmessage_changelist")))

    assert text.count("topic news") == 6
    assert text.count("writer") >= 6
    assert "reader-0" in text


@pytest.mark.parametrize(
    "query", ["delivery=dead", "topic=weather", "sender=writer", "tenant__id__exact={rival}"]
)
def test_the_list_is_filtered(console, acme, rival, query):
    meant = make_message(rival, "dead", topic="weather", sender="writer")
    other = make_message(acme, "completed")

    query = query.format(rival=rival.pk)
    text = text_of(console.get(f"{page('agentmessage_changelist')}?{query}"))

    assert meant.public_id in text
    assert other.public_id not in text


def test_dead_letters_are_listed_and_other_deliveries_are_not(console, acme):
    dead = make_dead_letter(acme)
    make_message(acme, "completed")
    other = rows(Delivery).exclude(pk=dead.pk).get()

    text = text_of(console.get(page("delivery_changelist")))
    one = console.get(page("delivery_change", other.pk))

    assert "Dead letters" in text
    assert dead.public_id in text
    assert other.public_id not in text
    assert one.status_code == 200
    assert page("delivery_replay", other.pk) not in text_of(one)


def test_the_list_of_dead_letters_asks_no_query_for_each_row(
    console, acme, rival, django_assert_max_num_queries
):
    for _ in range(8):
        make_dead_letter(acme)
        make_dead_letter(rival)

    with django_assert_max_num_queries(8):
        text = text_of(console.get(page("delivery_changelist")))

    assert text.count("agent_not_published") >= 16


def test_a_dead_letter_is_replayed_after_a_question_which_is_audited(console, acme):
    dead = make_dead_letter(acme)

    asked = text_of(console.get(page("delivery_replay", dead.pk)))
    assert "Replay this dead letter?" in asked
    assert rows(Delivery).get().state == "dead"

    console.post(page("delivery_replay", dead.pk))

    replayed = rows(Delivery).get()
    assert (replayed.state, replayed.attempts, replayed.replays) == ("pending", 0, 1)
    entries = LogEntry.objects.get_for_object(dead)
    assert {"replay": ["", dead.message.public_id]} in [entry.changes for entry in entries]


def test_selected_dead_letters_are_replayed(console, acme, rival):
    letters = [make_dead_letter(tenant) for tenant in (acme, acme, rival)]
    body = {
        "action": "replay_selected",
        "_selected_action": [letter.pk for letter in letters[1:]],
        "_confirmed": "1",
    }

    console.post(page("delivery_changelist"), body)

    states = dict(rows(Delivery).values_list("pk", "state"))
    assert [states[letter.pk] for letter in letters] == ["dead", "pending", "pending"]


def test_topics_have_subscribers_and_the_messages_of_the_last_hour(console, acme, rival, reader):
    make_message(acme, topic="news")
    make_message(rival, topic="typo")
    old = make_message(acme, topic="weather")
    hours_ago = timezone.now() - timedelta(hours=2)
    rows(AgentMessage).filter(pk=old.pk).update(created_at=hours_ago)

    text = text_of(console.get(reverse("admin:topics")))
    only = text_of(console.get(f"{reverse('admin:topics')}?tenant=rival"))
    with tenant_scope(acme.pk):
        topics = list_topics(now=timezone.now())

    assert [(each.name, each.subscribers, each.messages) for each in topics] == [
        ("news", ("reader",), 1),
        ("weather", ("reader",), 0),
    ]
    assert all(name in text for name in ("news", "weather", "typo"))
    assert "typo" in only
    assert "weather" not in only


def test_without_topics_the_page_says_how_they_come_about(console):
    assert "A topic exists because an agent subscribes to it" in text_of(
        console.get(reverse("admin:topics"))
    )


def test_subscriptions_are_entered_on_the_page_of_the_agent(console, reader):
    address = page("agent_change", reader.pk)
    form = {
        name: value
        for name, value in console.get(address).context["adminform"].form.initial.items()
        if value is not None and not isinstance(value, (list, dict))
    }
    total = {"revisions-TOTAL_FORMS": "0", "revisions-INITIAL_FORMS": "0"}
    body = {**form, **total, "parameters": "{}", "variables": "{}"}

    console.post(address, {**body, "subscriptions": "orders.new, news"})
    refused = console.post(address, {**body, "subscriptions": "No Topic"})

    assert rows(type(reader)).get().subscriptions == ["orders.new", "news"]
    errors = refused.context["adminform"].form.errors["subscriptions"]
    assert "is not a topic" in errors[0]


def test_the_search_finds_a_message_by_the_beginning_of_its_id(console, acme):
    message = make_message(acme)

    found = text_of(console.get(reverse("admin:search"), {"s": message.public_id[:12]}))

    assert page("agentmessage_change", message.pk) in found
