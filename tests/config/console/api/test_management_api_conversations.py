"""The management API about what was said: read by a tenant's admins, erased, and decided once."""

import pytest
from django.test import Client

from agents.models import Approval, Conversation, ErasureReceipt, Run
from tests.fixtures.console.people import make_person, rows
from tests.fixtures.runs.conversations import (
    answer,
    erase_another,
    make_approval,
    make_conversation,
    make_run,
    say,
)

API = "/api/v1/"


@pytest.fixture
def admin(acme):
    return signed_in(acme)


@pytest.fixture
def stranger(rival):
    """An admin, but of another tenant."""
    return signed_in(rival)


def signed_in(tenant):
    client = Client()
    client.force_login(make_person(tenant, "admin"))
    return client


@pytest.fixture
def approval(acme):
    return make_approval(acme)


def post(client, path, body=None):
    return client.post(API + path, body or {}, content_type="application/json")


def test_a_conversation_is_read_with_its_items(admin, approval):
    talk = approval.run.conversation
    say(talk, answer("It is paid."))

    shown = admin.get(f"{API}conversations/{talk.public_id}").json()
    items = admin.get(f"{API}conversations/{talk.public_id}/items").json()["results"]

    assert (shown["id"], shown["items"], shown["runs"]) == (talk.public_id, 3, 1)
    assert [item["kind"] for item in items] == ["message", "function_call", "message"]
    assert items[0]["body"]["content"][0]["text"] == "It is paid."


def test_a_conversation_is_erased_with_a_receipt(admin, acme, approval):
    talk = approval.run.conversation

    receipt = admin.delete(f"{API}conversations/{talk.public_id}").json()

    assert (receipt["target"], receipt["counts"]["items"]) == (talk.public_id, 2)
    assert receipt["requested_by"] == "admin-of-acme"
    assert not rows(Conversation).exists()
    assert admin.get(f"{API}erasures/{receipt['id']}").json()["id"] == receipt["id"]


def test_lists_are_narrowed(admin, acme):
    make_conversation(acme, agent="other")
    kept = make_conversation(acme, agent="helper")
    make_run(acme, state="failed")
    failed = make_run(acme, state="failed", conversation=kept)

    talks = admin.get(f"{API}conversations", {"agent": "helper"}).json()["results"]
    runs = admin.get(f"{API}runs", {"conversation": kept.public_id, "state": "failed"}).json()

    assert [each["id"] for each in talks] == [kept.public_id]
    assert [each["id"] for each in runs["results"]] == [failed.public_id]


@pytest.mark.parametrize("kind", ["runs", "approvals"])
def test_a_state_that_is_none_is_refused(admin, kind):
    answered = admin.get(API + kind, {"state": "asleep"})

    assert (answered.status_code, answered.json()["error"]["param"]) == (400, "state")


def test_a_run_is_cancelled(admin, approval):
    shown = post(admin, f"runs/{approval.run.public_id}/cancel").json()

    assert shown["state"] == "cancelled"
    assert rows(Run).get().cancel_requested_at is not None


def test_a_run_that_has_ended_stays_as_it_ended(admin, acme):
    run = make_run(acme, state="completed")

    shown = post(admin, f"runs/{run.public_id}/cancel").json()

    assert (shown["state"], shown["cancel_requested_at"]) == ("completed", None)


def test_a_call_is_decided_once(admin, approval):
    place = f"approvals/{approval.public_id}/resolve"

    first = post(admin, place, {"decision": "denied", "reason": "Too much."})
    second = post(admin, place, {"decision": "approved"})

    assert (first.json()["state"], first.json()["resolved_by"]) == ("denied", "admin-of-acme")
    assert (second.status_code, second.json()["error"]["code"]) == (409, "approval_resolved")
    assert rows(Approval).get().reason == "Too much."


def test_everything_of_a_tenant_is_erased_by_its_name_only(admin, acme, approval):
    wrong = post(admin, "erasures", {"everything_of": "rival"})
    right = post(admin, "erasures", {"everything_of": "acme"})

    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "everything_of")
    assert (right.status_code, right.json()["kind"]) == (202, "tenant")
    assert rows(ErasureReceipt).count() == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "conversations/{talk}"),
        ("get", "conversations/{talk}/items"),
        ("delete", "conversations/{talk}"),
        ("get", "runs/{run}"),
        ("post", "runs/{run}/cancel"),
        ("get", "approvals/{approval}"),
        ("post", "approvals/{approval}/resolve"),
        ("get", "erasures/{receipt}"),
    ],
)
def test_another_tenants_things_are_none(stranger, acme, approval, method, path):
    there = {
        "talk": approval.run.conversation.public_id,
        "run": approval.run.public_id,
        "approval": approval.public_id,
        "receipt": erase_another(acme).public_id,
    }
    nowhere = dict.fromkeys(there, "none")
    answers = [
        getattr(stranger, method)(
            API + path.format(**names), {"decision": "approved"}, content_type="application/json"
        )
        for names in (there, nowhere)
    ]

    assert [each.status_code for each in answers] == [404, 404]
    assert answers[0].content == answers[1].content
    assert rows(Conversation).count() == 1
    assert rows(Approval).get().state == "pending"


@pytest.mark.parametrize("kind", ["conversations", "runs", "approvals", "erasures"])
def test_lists_hold_ones_own_only(stranger, acme, approval, kind):
    erase_another(acme)

    assert stranger.get(API + kind).json()["results"] == []
