"""Deliveries end once: completed, tried again with growing pauses, or as a dead letter."""

from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.core.exceptions import ValidationError
from django.utils import timezone

from agents import services as agents
from agents.errors import DeliveryNotDead, HopLimit
from agents.messages.delivery import attempt_delivery
from agents.messages.maintenance import attempt_due, delete_old_messages, settle_ended
from agents.messages.retries import MAX_ATTEMPTS, is_transient, pause_after
from agents.messages.sending import insert_message, new_delivery, send_message
from agents.messages.services import replay_delivery
from agents.models import Agent, AgentMessage, Conversation, Delivery, Inbox, Run
from agents.schema.checkpoint import load_checkpoint
from agents.schema.routing.messages import MessageLimits, NewMessage
from tenants import services as tenants
from tenants.models import ApiKey
from tenants.scoping import every_tenant, tenant_scope
from tenants.selectors import load_principal
from tests.fixtures.console.people import acme, pool, rival, route, rows

__all__ = ["acme", "pool", "rival", "route"]
pytestmark = pytest.mark.django_db
LIMITS = MessageLimits(max_per_minute=600, max_hops=8, max_queued_runs=100)
LATER = timedelta(hours=1)


@pytest.fixture
def principal(acme):
    issued = tenants.issue_key(tenant=acme, name="messages")
    return load_principal(issued.key.public_id)


@pytest.fixture
def reader(acme, route):
    agent = agents.create_agent(
        tenant=acme, slug="reader", name="Reader", route=route, subscriptions=["news"]
    )
    agents.publish(agent=agent)
    return agent


def send(principal, **members):
    """The delivery of a message to `reader`."""
    new = NewMessage(**{"agent": "reader", "content": "Hello", **members})
    record = send_message(principal, new, limits=LIMITS).record
    return rows(Delivery).get(message__public_id=record.id)


def end_run(delivery, state, **facts):
    rows(Run).filter(pk=delivery.run_id).update(state=state, ended_at=timezone.now(), **facts)


def fail_run(delivery, code):
    end_run(delivery, "failed", error={"code": code, "message": "It failed."})


def now_of(delivery):
    return rows(Delivery).get(pk=delivery.pk)


@pytest.mark.parametrize("state", ["completed", "incomplete", "cancelled"])
@pytest.mark.usefixtures("reader")
def test_a_delivery_whose_run_has_ended_is_completed(principal, state):
    delivery = send(principal)
    assert settle_ended(now=timezone.now()) == 0

    end_run(delivery, state)

    assert [settle_ended(now=timezone.now()) for _ in range(2)] == [1, 0]
    assert now_of(delivery).state == "completed"


@pytest.mark.usefixtures("reader")
def test_a_run_that_was_deleted_leaves_a_completed_delivery(principal):
    delivery = send(principal)
    with every_tenant():
        Run.objects.all().delete()

    settle_ended(now=timezone.now())

    assert now_of(delivery).state == "completed"


@pytest.mark.usefixtures("reader")
def test_a_run_that_failed_for_a_time_is_tried_again_with_growing_pauses_and_then_dead(principal):
    delivery, now, pauses = send(principal), timezone.now(), []
    for attempt in range(1, MAX_ATTEMPTS + 1):
        fail_run(delivery, "worker_died")
        assert settle_ended(now=now) == 1
        delivery = now_of(delivery)
        assert delivery.attempts == attempt
        if delivery.state == "pending":
            pauses.append((delivery.next_attempt_at - now).total_seconds())
            assert attempt_due(now=now, max_queued=9) == 0
            now = delivery.next_attempt_at
            assert attempt_due(now=now, max_queued=9) == 1
            delivery = now_of(delivery)

    assert delivery.state == "dead"
    assert (delivery.error_code, delivery.error_message) == ("worker_died", "It failed.")
    assert pauses == [5, 20, 80, 320]
    ids = [each.client_id for each in rows(Run).order_by("pk")]
    assert ids == [f"{delivery.public_id}:0:{n}" for n in range(1, MAX_ATTEMPTS + 1)]
    assert attempt_due(now=now + LATER, max_queued=9) == 0


@pytest.mark.usefixtures("reader")
def test_a_run_that_failed_for_good_is_a_dead_letter_at_once(principal):
    delivery = send(principal)
    fail_run(delivery, "context_length_exceeded")

    settle_ended(now=timezone.now())

    delivery = now_of(delivery)
    assert (delivery.state, delivery.error_code) == ("dead", "context_length_exceeded")
    assert delivery.run_id is not None


def test_a_paused_agent_gets_its_message_once_it_is_resumed(principal, reader):
    agents.pause_agent(agent=reader)
    delivery = send(principal)
    assert (delivery.state, delivery.error_code) == ("pending", "agent_paused")
    agents.resume_agent(agent=reader)

    assert attempt_due(now=timezone.now() + LATER, max_queued=9) == 1

    delivery = now_of(delivery)
    assert (delivery.state, delivery.error_code, delivery.attempts) == ("delivered", "", 2)


def test_what_has_been_deleted_or_forbidden_since_is_a_dead_letter(principal, reader, acme):
    agents.pause_agent(agent=reader)
    first, second = send(principal), send(principal)
    rows(ApiKey).update(allowed_models=["another"])
    attempt_delivery(acme.pk, first.pk, now=timezone.now() + LATER, max_queued=9)
    rows(ApiKey).update(allowed_models=[])
    agents.delete_agent(agent=reader)
    attempt_delivery(acme.pk, second.pk, now=timezone.now() + LATER, max_queued=9)

    codes = {(each.state, each.error_code) for each in rows(Delivery).all()}
    assert codes == {("dead", "model_not_found")}


@pytest.mark.usefixtures("reader")
def test_a_dead_letter_can_be_replayed_and_starts_a_new_run(principal):
    delivery = send(principal)
    fail_run(delivery, "quota_exhausted")
    settle_ended(now=timezone.now())
    assert now_of(delivery).state == "dead"

    replayed = replay_delivery(delivery=delivery)
    assert (replayed.state, replayed.attempts, replayed.replays) == ("pending", 0, 1)
    assert attempt_due(now=timezone.now(), max_queued=9) == 1

    again = now_of(delivery)
    assert (again.state, again.attempts) == ("delivered", 1)
    assert again.run_id != delivery.run_id
    assert rows(Run).count() == 2


@pytest.mark.usefixtures("reader")
def test_only_dead_letters_can_be_replayed(principal):
    delivery = send(principal)

    with pytest.raises(DeliveryNotDead):
        replay_delivery(delivery=delivery)


@pytest.mark.usefixtures("reader")
def test_an_attempt_is_made_once_whoever_makes_it(principal, acme):
    delivery = send(principal)

    again = attempt_delivery(acme.pk, delivery.pk, now=timezone.now() + LATER, max_queued=9)

    assert not again
    assert rows(Run).count() == 1


def test_the_successor_of_a_rotated_key_pays_for_later_attempts(principal, reader):
    agents.pause_agent(agent=reader)
    send(principal)
    agents.resume_agent(agent=reader)
    with every_tenant():
        key = ApiKey.objects.get(public_id=principal.public_id)
    issued = tenants.rotate_key(key=key, now=timezone.now())

    attempt_due(now=timezone.now() + LATER, max_queued=9)

    assert rows(Run).get().api_key_id == issued.key.pk


@pytest.mark.usefixtures("reader")
def test_messages_are_deleted_after_30_days_and_the_run_remains(principal):
    send(principal)
    sent = timezone.now()

    counts = [delete_old_messages(now=sent + timedelta(days=days)) for days in (29, 31)]

    assert counts == [0, 1]
    assert not rows(AgentMessage).exists()
    assert not rows(Delivery).exists()
    assert rows(Run).count() == 1


def test_a_deleted_agent_takes_its_inbox_along_and_leaves_the_conversation(principal, reader):
    send(principal)

    agents.delete_agent(agent=reader)

    assert not rows(Inbox).exists()
    assert rows(Conversation).count() == 1


def test_a_message_to_a_topic_never_reaches_its_sender(principal, reader, acme, route):
    other = agents.create_agent(
        tenant=acme, slug="other", name="Other", route=route, subscriptions=["news"]
    )
    agents.publish(agent=other)

    new = NewMessage(topic="news", content="Hello", sender="reader", hops=1)
    send_message(principal, new, limits=LIMITS)

    assert [each.agent for each in rows(Delivery).all()] == ["other"]
    assert [each.sender for each in rows(Inbox).all()] == ["reader"]


def test_a_draft_that_was_never_published_is_a_dead_letter_of_its_topic(principal, acme, route):
    agents.create_agent(
        tenant=acme, slug="draft", name="Draft", route=route, subscriptions=["news"]
    )

    send_message(principal, NewMessage(topic="news", content="Hello"), limits=LIMITS)

    (delivery,) = rows(Delivery).all()
    assert (delivery.state, delivery.error_code) == ("dead", "agent_not_published")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("worker_died", True),
        ("requests_per_minute", True),
        ("queue_full", True),
        ("agent_paused", True),
        ("upstream_broken", True),
        ("no_endpoint_available", True),
        ("quota_exhausted", False),
        ("model_not_found", False),
        ("revoked_api_key", False),
        ("internal_error", False),
        ("never_heard_of", False),
    ],
)
def test_only_errors_that_may_pass_are_tried_again(code, expected):
    assert is_transient(code) is expected


def test_pauses_grow_and_end():
    assert [pause_after(n) for n in (1, MAX_ATTEMPTS - 1, MAX_ATTEMPTS)] == [
        timedelta(seconds=5),
        timedelta(seconds=320),
        None,
    ]


@pytest.mark.parametrize("topics", [["A"], ["a/b"], ["a", "a"], [f"t{n}" for n in range(65)]])
def test_subscriptions_that_are_not_valid_are_refused(acme, route, topics):
    with pytest.raises(ValidationError) as refused:
        agents.create_agent(tenant=acme, slug="r", name="R", route=route, subscriptions=topics)
    assert refused.value.message_dict.keys() == {"subscriptions"}
    assert not rows(Agent).exists()


@pytest.mark.usefixtures("reader")
def test_what_a_process_that_ended_has_not_attempted_is_attempted_by_the_task(principal, acme):
    with tenant_scope(acme.pk):
        message = insert_message(principal, NewMessage(topic="news", content="Hello"))
        new_delivery(message, "reader").save()

    assert [attempt_due(now=timezone.now(), max_queued=9) for _ in range(2)] == [1, 0]

    assert rows(Delivery).get().state == "delivered"
    assert rows(Run).count() == 1


@pytest.mark.usefixtures("reader")
def test_a_replay_is_in_the_audit_log_without_the_text(principal):
    delivery = send(principal)
    fail_run(delivery, "quota_exhausted")
    settle_ended(now=timezone.now())

    replay_delivery(delivery=delivery)

    entry = LogEntry.objects.get_for_object(delivery).get()
    assert list(entry.changes) == ["replay"]
    assert "Hello" not in str(entry.changes)


@pytest.mark.usefixtures("reader")
def test_the_hops_of_a_message_are_in_the_checkpoint_of_its_run(principal):
    send(principal, hops=3)

    checkpoint = load_checkpoint(rows(Run).get().checkpoint)

    assert checkpoint.run_request.hops == 3


@pytest.mark.usefixtures("reader")
def test_a_message_beyond_the_hops_is_refused(principal):
    send(principal, hops=LIMITS.max_hops)

    with pytest.raises(HopLimit):
        send(principal, hops=LIMITS.max_hops + 1)
    assert rows(AgentMessage).count() == 1
