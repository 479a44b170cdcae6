"""The console's pages about what was said: read safely, decided once, erased for good."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from agents.models import Approval, Conversation, ErasureReceipt, Run
from tests.fixtures.console.people import make_event, rows
from tests.fixtures.runs.conversations import (
    answer,
    call,
    make_approval,
    make_conversation,
    make_run,
    result,
    say,
)

EVIL = "<script>alert('x')</script>"


def page(name, *args):
    return reverse(f"admin:agents_{name}", args=args)


@pytest.fixture
def approval(acme):
    return make_approval(acme)


@pytest.fixture
def talk(acme):
    return make_conversation(acme)


def shown(console, talk, **parameters):
    return console.get(page("conversation_change", talk.pk), parameters).content.decode()


def test_a_conversation_is_read_as_one(console, talk):
    say(talk, call("c1", name="look_up"), result("c1", "It rains."), answer("Take a coat."))

    text = shown(console, talk)

    assert "Take a coat." in text
    assert text.count("<details>") == 1
    assert text.index("Tool call: look_up") < text.index("It rains.") < text.index("Take a coat.")


@pytest.mark.parametrize(
    "item", [answer(EVIL), call("c1", name=EVIL, arguments=EVIL), result("c2", EVIL)]
)
def test_what_was_said_is_never_a_part_of_the_page(console, talk, item):
    say(talk, item)

    text = shown(console, talk)

    assert EVIL not in text
    assert "&lt;script&gt;" in text


def test_a_long_conversation_is_read_page_by_page(console, talk):
    say(talk, *(answer(f"word-{n}-") for n in range(120)))

    newest = shown(console, talk)
    earlier = shown(console, talk, before=20)

    assert "word-119-" in newest
    assert "word-19-" not in newest
    assert "?before=20" in newest
    assert "word-19-" in earlier
    assert "word-20-" not in earlier


@pytest.mark.parametrize("before", ["x", "-1", "9" * 40, "²"])
def test_an_odd_place_is_the_newest(console, talk, before):
    say(talk, answer("hello there"))
    assert "hello there" in shown(console, talk, before=before)


@pytest.mark.parametrize("text", ["conv_", "helper", "acme"])
def test_conversations_are_found(console, talk, rival, text):
    other = make_conversation(rival, agent="other")

    found = console.get(page("conversation_changelist"), {"q": text}).content.decode()

    assert talk.public_id in found
    assert (other.public_id in found) == (text == "conv_")


def test_a_conversation_is_erased_after_a_question(console, talk):
    say(talk, answer("hello"))
    place = page("conversation_erase", talk.pk)
    assert "This cannot be undone" in console.get(place).content.decode()
    assert rows(Conversation).exists()

    answered = console.post(place, follow=True).content.decode()

    receipt = rows(ErasureReceipt).get()
    assert not rows(Conversation).exists()
    assert (receipt.requested_by, receipt.counts["items"]) == ("olga", 1)
    assert "1 item" in answered


def test_a_tenant_is_erased_by_its_name_only(console, acme, rival, talk):
    kept = make_conversation(rival)
    place = page("erasurereceipt_erase_tenant")

    wrong = console.post(place, {"tenant": acme.pk, "short_name": "rival"})
    assert "not the tenant&#x27;s short name" in wrong.content.decode()
    assert not rows(ErasureReceipt).exists()
    console.post(place, {"tenant": acme.pk, "short_name": "acme"})

    receipt = rows(ErasureReceipt).get()
    assert (receipt.kind, receipt.target, receipt.requested_by) == ("tenant", "acme", "olga")
    assert rows(Conversation).filter(pk=kept.pk).exists()


def test_a_run_shows_how_it_went(console, acme, talk):
    began = timezone.now() - timedelta(seconds=9)
    run = make_run(
        acme,
        conversation=talk,
        state="failed",
        error={"code": "upstream_broken", "message": "It stopped."},
        prompt_tokens=1234,
        started_at=began,
        ended_at=began + timedelta(seconds=2),
    )
    say(talk, answer("half a sen"), run=run)

    text = console.get(page("run_change", run.pk)).content.decode()

    for fact in ("upstream_broken", "It stopped.", "1,234", "half a sen", "took 2.0 s"):
        assert fact in text


def test_a_run_that_goes_on_is_asked_for_again(console, acme):
    run = make_run(acme, state="in_progress", started_at=timezone.now())
    place = page("run_change", run.pk)
    asks_again = f'hx-get="{place}"'
    assert asks_again in console.get(place).content.decode()

    rows(Run).update(state="completed", ended_at=timezone.now())
    part = console.get(place, headers={"HX-Request": "true"}).content.decode()

    assert "run-over" in part
    assert "<html" not in part
    assert asks_again not in console.get(place).content.decode()


def test_a_run_leads_to_its_usage_and_its_explanation(console, acme):
    run = make_run(acme)
    make_event(acme, client_request_id=run.public_id)

    usage = console.get(page("run_usage", run.pk), follow=True).content.decode()
    why = console.get(page("run_explain", run.pk), follow=True).content.decode()

    assert "req_acme_1" in why
    assert "1,000" in usage


def test_runs_are_filtered(console, acme, rival, talk):
    failed = make_run(acme, state="failed", conversation=talk)
    other = make_run(rival, state="completed", agent="other")

    by_state = console.get(page("run_changelist"), {"state__exact": "failed"}).content.decode()
    by_agent = console.get(page("run_changelist"), {"agent": "other"}).content.decode()
    by_talk = console.get(page("run_changelist"), {"q": talk.public_id}).content.decode()

    assert [failed.public_id in each for each in (by_state, by_agent, by_talk)] == [
        True,
        False,
        True,
    ]
    assert [other.public_id in each for each in (by_state, by_agent, by_talk)] == [
        False,
        True,
        False,
    ]


def test_a_run_is_cancelled_after_a_question(console, approval):
    console.post(page("run_cancel", approval.run.pk))

    assert rows(Run).get().state == "cancelled"


def test_what_waits_stands_first(console, acme, approval):
    done = make_approval(acme, tool="older", state="approved")

    text = console.get(page("approval_changelist")).content.decode()

    assert text.index(approval.run.public_id) < text.index(done.run.public_id)


@pytest.mark.parametrize(("action", "state"), [("approve", "approved"), ("deny", "denied")])
def test_a_call_is_decided_with_a_reason(console, approval, action, state):
    place = page(f"approval_{action}", approval.pk)
    assert "&quot;amount&quot;: 5" in console.get(place).content.decode()

    console.post(place, {"reason": "I know them."})

    row = rows(Approval).get()
    assert (row.state, row.resolved_by, row.reason) == (state, "olga", "I know them.")


def test_a_call_that_was_decided_says_so(console, approval):
    console.post(page("approval_deny", approval.pk))

    answered = console.post(page("approval_approve", approval.pk), follow=True).content.decode()

    assert "has been decided already" in answered
    assert rows(Approval).get().state == "denied"
