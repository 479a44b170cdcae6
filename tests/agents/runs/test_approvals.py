"""Approvals: one decision for each call, told to whoever waits for it."""

import threading

import pytest
import redis
from django.conf import settings as configured
from django.db import connection

from agents.models import Approval, Run
from agents.redis_keys import APPROVALS
from agents.runs import approvals
from kernel.ids import new_id
from tenants.scoping import every_tenant


def wait_for(member, *, state="requires_approval", **facts) -> Approval:
    """A call that waits for somebody."""
    with every_tenant():
        run = Run.objects.create(
            tenant=member.tenant, public_id=new_id("resp"), door="test", model="tiny", state=state
        )
        usual = {"call_id": "c1", "tool": "pay", "arguments": {"amount": 5}}
        return Approval.objects.create(
            tenant=member.tenant, run=run, public_id=new_id("apr"), **{**usual, **facts}
        )


@pytest.fixture
def heard():
    """What is told on the channel."""
    messages = []
    with redis.Redis.from_url(configured.REDIS_URL) as client, client.pubsub() as pubsub:
        pubsub.subscribe(APPROVALS)
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"

        def listen():
            told = pubsub.get_message(timeout=0.5)
            if told:
                messages.append(told["data"].decode())
            return messages

        yield listen


@pytest.mark.parametrize("decision", ["approved", "denied"])
def test_a_decision_is_kept_with_who_and_why(acme, decision):
    approval = wait_for(acme)

    assert approvals.resolve(approval=approval, by="ada", decision=decision, reason="too much")

    with every_tenant():
        approval.refresh_from_db()
    assert (approval.state, approval.resolved_by, approval.reason) == (decision, "ada", "too much")
    assert approval.resolved_at is not None


def test_a_second_decision_changes_nothing(acme, heard):
    approval = wait_for(acme)
    approvals.resolve(approval=approval, by="ada", decision="denied")

    assert not approvals.resolve(approval=approval, by="eve", decision="approved")

    with every_tenant():
        approval.refresh_from_db()
    assert (approval.state, approval.resolved_by) == ("denied", "ada")
    heard()
    assert heard() == [f"{approval.run.public_id} {approval.public_id}"]


@pytest.mark.parametrize("state", ["completed", "cancelled", "failed", "incomplete"])
def test_what_nobody_waits_for_is_not_decided(acme, state):
    approval = wait_for(acme, state=state)

    assert not approvals.resolve(approval=approval, by="ada", decision="approved")


def test_of_two_at_once_one_decides(acme):
    approval, won = wait_for(acme), []

    def decide(who):
        won.append(approvals.resolve(approval=approval, by=who, decision="approved"))
        connection.close()

    people = [threading.Thread(target=decide, args=(who,)) for who in "abcdef"]
    for person in people:
        person.start()
    for person in people:
        person.join()

    assert won.count(True) == 1


def test_without_redis_the_decision_counts(acme, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    assert approvals.resolve(approval=wait_for(acme), by="ada", decision="approved")
