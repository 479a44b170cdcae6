"""A run begins and ends with one question to the database each, and nobody else's is touched."""

import pytest
from django.db import IntegrityError

from agents.conversations.history import as_item
from agents.models import Conversation, Item, Run
from agents.runs.statements import finish_statement, insert_statement
from agents.schema.items import StoredItem, user_message
from agents.schema.run_records import EndedRun, NewRun, QueueEntry
from kernel.ids import new_id
from kernel.storage.database import execute
from tenants.admission.usage.records import Usage
from tests.fixtures.runs.conversations import answer, make_conversation, say
from tests.fixtures.runs.tasks import make_task

pytestmark = pytest.mark.usefixtures("seen_by_all")

USED = Usage(prompt_tokens=9, cached_tokens=4, completion_tokens=2)


def new(member, **facts) -> NewRun:
    usual = {"id": new_id("resp"), "worker": "w1", "door": "responses", "model": "tiny"}
    return NewRun(tenant_id=member.tenant.pk, **{**usual, **facts})


def begin(member, **facts) -> Run:
    talk = facts.get("conversation")
    place = Conversation.objects.get(public_id=talk).pk if talk else None
    ((pk,),) = execute(insert_statement(new(member, **facts), conversation_pk=place))
    return Run.objects.get(pk=pk)


def finish_run(end) -> bool:
    return bool(execute(finish_statement(end)))


def ended(run, *items, **facts) -> EndedRun:
    usual = {"worker": "w1", "state": "completed", "usage": USED, "steps": 1}
    return EndedRun(
        **{"id": run.public_id, "tenant_id": run.tenant_id, **usual, **facts},
        items=tuple(StoredItem(item=item, is_input=item.role == "user") for item in items),
    )


def texts(**where):
    rows = Item.objects.filter(**where).order_by("position")
    return [row.body["content"][0]["text"] for row in rows]


def test_a_run_begins_with_one_question(acme, django_assert_num_queries):
    row = new(acme, agent="helper", agent_revision=3, request={"metadata": {"a": "ü"}})

    with django_assert_num_queries(1):
        execute(insert_statement(row))

    run = Run.objects.get()
    assert (run.tenant, run.public_id, run.state) == (acme.tenant, row.id, "in_progress")
    assert (run.agent, run.agent_revision, run.request) == ("helper", 3, {"metadata": {"a": "ü"}})
    assert run.created_at == run.started_at < run.lease_until


def test_a_run_that_waits_has_not_started(acme):
    run = begin(acme, waits=True)

    assert (run.state, run.started_at) == ("queued", None)


def test_the_same_run_does_not_begin_twice(acme):
    run = begin(acme)

    with pytest.raises(IntegrityError):
        execute(insert_statement(new(acme, id=run.public_id)))


def test_a_run_ends_with_one_question(acme, django_assert_num_queries):
    run = begin(acme)
    asked, said = user_message("hello"), answer("hi")

    with django_assert_num_queries(1):
        assert finish_run(ended(run, asked, said, tool_calls=2, cache_hit=True))

    run.refresh_from_db()
    assert (run.state, run.steps, run.tool_calls, run.cache_hit) == ("completed", 1, 2, True)
    assert (run.prompt_tokens, run.cached_tokens, run.completion_tokens) == (9, 4, 2)
    assert (run.error, run.incomplete_reason, run.lease_until) == (None, "", None)
    assert run.ended_at > run.started_at
    rows = list(Item.objects.filter(run=run).order_by("position"))
    assert [(row.position, row.is_input, row.public_id) for row in rows] == [
        (0, True, asked.id),
        (1, False, said.id),
    ]
    assert as_item(rows[1]) == said
    assert {row.kind for row in rows} == {"message"}
    assert {row.tenant_id for row in rows} == {acme.tenant.pk}


def test_a_run_of_a_conversation_speaks_behind_what_is_there(acme, django_assert_num_queries):
    talk = make_conversation(acme.tenant)
    say(talk, user_message("one"), answer("two"))
    run = begin(acme, conversation=talk.public_id)
    changed = Conversation.objects.get().changed_at

    with django_assert_num_queries(1):
        finish_run(ended(run, user_message("three"), conversation=talk.public_id))

    assert texts(conversation=talk) == ["one", "two", "three"]
    talk.refresh_from_db()
    assert talk.next_position == 3
    assert talk.changed_at > changed


def test_what_failed_stays_out_of_the_conversation(acme):
    talk = make_conversation(acme.tenant)
    run = begin(acme, conversation=talk.public_id)
    error = {"code": "interrupted", "message": "Ask again."}

    finish_run(
        ended(run, user_message("hello"), conversation=talk.public_id, state="failed", error=error)
    )

    run.refresh_from_db()
    assert run.error == error
    assert (texts(conversation=talk), texts(run=run)) == ([], ["hello"])
    talk.refresh_from_db()
    assert talk.next_position == 0


def test_what_is_rolled_back_stays_nowhere(acme):
    talk = make_conversation(acme.tenant)
    run = begin(acme, conversation=talk.public_id)
    facts = {"conversation": talk.public_id, "state": "cancelled", "reason": "rollback"}

    finish_run(ended(run, user_message("hello"), **facts))

    run.refresh_from_db()
    assert (run.state, run.incomplete_reason) == ("cancelled", "rollback")
    assert not Item.objects.exists()


def test_an_end_without_a_reason_leaves_the_one_that_was_asked_for(acme):
    run = begin(acme)
    Run.objects.request_cancel(public_id=run.public_id, why="cancelled")

    finish_run(ended(run))

    run.refresh_from_db()
    assert (run.state, run.incomplete_reason) == ("completed", "cancelled")


@pytest.mark.parametrize("twist", ["ended before", "another worker", "another tenant", "waits"])
def test_who_does_not_hold_a_run_does_not_end_it(acme, rival, twist):
    talk = make_conversation(acme.tenant)
    run = begin(acme, conversation=talk.public_id)
    end = {"conversation": talk.public_id}
    if twist == "ended before":
        assert finish_run(ended(run, user_message("first"), **end))
    if twist == "waits":
        Run.objects.update(state="requires_approval", worker="w1")
    wrong = {"another worker": {"worker": "w2"}, "another tenant": {"tenant_id": rival.tenant.pk}}
    before = (Run.objects.get(), texts(), Conversation.objects.get().next_position)

    assert not finish_run(
        ended(run, user_message("second"), **{**end, **wrong.get(twist, {}), "state": "failed"})
    )

    after = Run.objects.get()
    assert (after.state, after.ended_at) == (before[0].state, before[0].ended_at)
    assert (texts(), Conversation.objects.get().next_position) == before[1:]


def test_a_conversation_of_another_tenant_is_not_spoken_in(acme, rival):
    theirs = make_conversation(rival.tenant)
    run = begin(acme)

    finish_run(ended(run, user_message("hello"), conversation=theirs.public_id))

    assert (texts(conversation=theirs), texts(run=run)) == ([], ["hello"])
    theirs.refresh_from_db()
    assert theirs.next_position == 0


def queue_for(member, task):
    entry = QueueEntry(max_queued=10, new_task=task.public_id)
    return execute(insert_statement(new(member, worker="", background=True, queue=entry)))


def test_the_run_of_a_new_task_is_linked_in_the_same_statement(acme, django_assert_num_queries):
    task = make_task(acme.tenant, run=None)

    with django_assert_num_queries(1):
        ((pk, is_linked),) = queue_for(acme, task)

    task.refresh_from_db()
    assert is_linked
    assert task.run_id == pk


def test_a_run_is_not_linked_with_a_task_of_another_tenant_or_with_a_run(acme, rival):
    foreign, linked = make_task(rival.tenant, run=None), make_task(acme.tenant)
    before = linked.run_id

    assert [queue_for(acme, each)[0][1] for each in (foreign, linked)] == [False, False]

    foreign.refresh_from_db()
    linked.refresh_from_db()
    assert (foreign.run_id, linked.run_id) == (None, before)
