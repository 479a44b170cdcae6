"""A candidate that does worse goes back by itself, once, and its tenant is told."""

import threading
from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.db import connection

from agents.rollouts.evaluation import client_faults, evaluate_rollout, running_rollouts
from agents.rollouts.services import stop_rollout
from agents.selectors import load_published_agents
from agents.tasks import judge_rollouts
from config.celery import app
from kernel.publishing.publish import latest_revision, revisions_after
from tenants.models import AlertRecipient, Notice
from tenants.notifications import recipients
from tests.fixtures.console.people import acme, pool, rival, route, rows
from tests.fixtures.runs.rollouts import make_revisions, note_runs, start

__all__ = ["acme", "pool", "rival", "route"]


@pytest.fixture
def rollout(acme, route):
    return start(make_revisions(acme, route), min_runs=20)


def judge(rollout):
    """Whether it was taken back, and the sentence that says why."""
    taken_back = evaluate_rollout(tenant_id=rollout.tenant_id, rollout_id=rollout.pk)
    rollout.refresh_from_db()
    assert taken_back is (rollout.state == "rolled_back")
    return rollout.reason


def test_an_equal_candidate_stays(rollout):
    for revision in (1, 2):
        note_runs(rollout, revision=revision, runs=20)
        note_runs(rollout, revision=revision, runs=2, status="failed", error_code="upstream_failed")

    assert judge(rollout) == ""


def test_a_candidate_that_fails_goes_back_and_gateways_are_told(acme, rollout):
    note_runs(rollout, revision=1, runs=20)
    note_runs(rollout, revision=2, runs=12)
    note_runs(rollout, revision=2, runs=8, status="failed", error_code="upstream_failed")
    before = latest_revision()

    assert "failed 8 of 20 runs" in judge(rollout)

    assert load_published_agents(acme.pk)["helper"].candidate is None
    assert {topic for _, topic in revisions_after(before)} == {f"agents:{acme.pk}"}


def test_a_slow_candidate_goes_back(rollout):
    note_runs(rollout, revision=1, runs=20)
    note_runs(rollout, revision=2, runs=20, duration_ms=2500)

    assert "2,500 ms at the 95th percentile" in judge(rollout)


def test_a_candidate_that_keeps_streams_waiting_goes_back(rollout):
    note_runs(rollout, revision=1, runs=20, ttft_ms=100)
    note_runs(rollout, revision=2, runs=20, ttft_ms=700)

    assert "first tokens take 700 ms" in judge(rollout)


def test_what_clients_did_is_not_held_against_a_candidate(rollout):
    note_runs(rollout, revision=1, runs=20)
    note_runs(rollout, revision=2, runs=20)
    note_runs(rollout, revision=2, runs=30, status="failed", error_code="invalid_parameter")
    note_runs(rollout, revision=2, runs=30, status="client_left", duration_ms=60_000)

    assert judge(rollout) == ""


def test_cached_answers_say_nothing_about_a_revision(rollout):
    note_runs(rollout, revision=1, runs=20)
    note_runs(rollout, revision=1, runs=40, duration_ms=1, decision={"cache": "hit"})
    note_runs(rollout, revision=2, runs=20)

    assert judge(rollout) == ""


def test_what_was_before_the_rollout_does_not_count(rollout):
    earlier = rollout.started_at - timedelta(seconds=1)
    failed = {"status": "failed", "error_code": "upstream_failed"}
    note_runs(rollout, revision=1, runs=20)
    note_runs(rollout, revision=2, runs=20)
    note_runs(rollout, revision=2, runs=40, started_at=earlier, **failed)

    assert judge(rollout) == ""


def test_another_tenants_agent_of_that_name_does_not_count(rollout, rival, route):
    theirs = start(make_revisions(rival, route), min_runs=20)
    for revision in (1, 2):
        note_runs(rollout, revision=revision, runs=20)
    note_runs(theirs, revision=1, runs=20)
    note_runs(theirs, revision=2, runs=20, status="failed", error_code="upstream_failed")

    assert (judge(rollout), bool(judge(theirs))) == ("", True)


def fail(rollout):
    note_runs(rollout, revision=1, runs=20)
    note_runs(rollout, revision=2, runs=20, status="failed", error_code="upstream_failed")


def test_the_tenants_recipients_and_the_audit_log_are_told(acme, rollout):
    recipients.save_recipient(recipient=AlertRecipient(tenant=acme, address="ops@acme.example"))
    fail(rollout)

    reason = judge(rollout)

    body = rows(Notice).get().body
    assert (body["type"], body["data"]) == (
        "rollout.rolled_back",
        {"agent": "helper", "revision": 2, "reason": reason},
    )
    entry = LogEntry.objects.get_for_object(rollout.agent).latest("pk")
    assert entry.changes_dict["reason"] == ["", reason]


def test_a_rollout_that_was_ended_is_left_alone(rollout):
    fail(rollout)
    stop_rollout(agent=rollout.agent)

    assert not evaluate_rollout(tenant_id=rollout.tenant_id, rollout_id=rollout.pk)
    assert running_rollouts() == []


@pytest.mark.django_db(transaction=True)
def test_of_two_who_judge_at_once_one_takes_it_back(acme, rollout):
    recipients.save_recipient(recipient=AlertRecipient(tenant=acme, address="ops@acme.example"))
    fail(rollout)
    outcomes = []

    def judge_once():
        try:
            outcomes.append(evaluate_rollout(tenant_id=acme.pk, rollout_id=rollout.pk))
        finally:
            connection.close()

    threads = [threading.Thread(target=judge_once) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)

    assert sorted(outcomes) == [False, False, False, True]
    assert rows(Notice).count() == 1


def test_the_task_judges_every_tenants_rollouts(rollout, rival, route, monkeypatch):
    monkeypatch.setitem(app.conf, "task_always_eager", "yes")
    theirs = start(make_revisions(rival, route), min_runs=20)
    for each in (rollout, theirs):
        fail(each)

    judge_rollouts.apply()

    assert running_rollouts() == []


@pytest.mark.parametrize("code", ["invalid_parameter", "context_length_exceeded"])
def test_client_faults_are_known(code):
    assert code in client_faults()


@pytest.mark.parametrize("code", ["upstream_failed", "internal_error", "overloaded", "interrupted"])
def test_our_faults_are_no_client_faults(code):
    assert code not in client_faults()
