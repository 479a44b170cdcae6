"""The store of conversations: items in order, whoever writes, and nobody else's."""

import threading

import pytest
from django.db import connection

from agents.conversations.store import append_items, load_history
from agents.models import Conversation, Item, Run
from agents.schema.items import FunctionCall, FunctionCallOutput, StoredItem, user_message
from kernel.errors import NotFound
from kernel.ids import new_id
from tenants.scoping import every_tenant


def begin(member, **facts) -> Conversation:
    with every_tenant():
        return Conversation.objects.create(tenant=member.tenant, public_id=new_id("conv"), **facts)


def insert_run(member, **facts) -> Run:
    with every_tenant():
        return Run.objects.create(
            tenant=member.tenant, public_id=new_id("resp"), door="test", model="tiny", **facts
        )


def say(member, *texts, conversation=None, run=None):
    items = [StoredItem(item=user_message(text), is_input=True) for text in texts]
    append_items(
        member.tenant.pk,
        conversation=conversation and conversation.public_id,
        run=run and run.public_id,
        items=items,
    )
    return items


def texts(history):
    return [item.text for item in history.items]


def history_of(member, conversation=None, previous=None):
    return load_history(
        member.tenant.pk,
        conversation=conversation and conversation.public_id,
        previous_response=previous and previous.public_id,
    )


def test_items_come_back_in_the_order_they_were_said(acme):
    conversation = begin(acme, agent="helper", revision=3)
    say(acme, "one", "two", conversation=conversation)
    say(acme, "three", conversation=conversation)

    history = history_of(acme, conversation)

    assert texts(history) == ["one", "two", "three"]
    assert (history.version, history.agent, history.revision) == (3, "helper", 3)


def test_every_kind_of_item_comes_back_as_it_was(acme):
    conversation = begin(acme)
    call = FunctionCall(id="fc_1", call_id="c1", name="time", arguments="{}")
    output = FunctionCallOutput(id="fco_1", call_id="c1", output="noon")
    append_items(
        acme.tenant.pk,
        conversation=conversation.public_id,
        run=None,
        items=[StoredItem(item=call), StoredItem(item=output)],
    )

    assert history_of(acme, conversation).items == (call, output)


def test_saying_the_same_items_twice_keeps_them_once(acme):
    conversation = begin(acme)
    items = say(acme, "one", conversation=conversation)
    append_items(acme.tenant.pk, conversation=conversation.public_id, run=None, items=items)

    history = history_of(acme, conversation)

    assert (texts(history), history.version) == (["one"], 1)


def test_writers_at_once_get_different_positions(acme, seen_by_all):
    conversation = begin(acme)

    def write(name):
        say(acme, *(f"{name}{n}" for n in range(5)), conversation=conversation)
        connection.close()

    writers = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    positions = Item.objects.order_by("position").values_list("position", flat=True)
    assert list(positions) == list(range(20))
    assert sorted(texts(history_of(acme, conversation))) == sorted(
        f"{name}{n}" for name in "abcd" for n in range(5)
    )


def test_a_response_leads_back_to_what_it_followed(acme):
    first = insert_run(acme)
    second = insert_run(acme, previous=first)
    fork = insert_run(acme, previous=first)
    for run, text in ((first, "one"), (second, "two"), (fork, "other")):
        say(acme, text, run=run)

    assert texts(history_of(acme, previous=second)) == ["one", "two"]
    assert texts(history_of(acme, previous=fork)) == ["one", "other"]


def test_a_response_of_a_conversation_leads_back_to_what_was_said_before_it(acme):
    conversation = begin(acme)
    say(acme, "brought", conversation=conversation)
    first = insert_run(acme, conversation=conversation)
    say(acme, "one", conversation=conversation, run=first)
    say(acme, "later", conversation=conversation)
    second = insert_run(acme, previous=first)
    say(acme, "two", run=second)

    assert texts(history_of(acme, previous=second)) == ["brought", "one", "two"]


@pytest.mark.parametrize("function", [load_history, append_items])
@pytest.mark.parametrize("way", ["conversation", "run"])
def test_nobody_reads_or_continues_what_is_anothers(acme, rival, function, way):
    there = begin(acme) if way == "conversation" else insert_run(acme)
    refusals = [refusal(function, rival, **{way: name}) for name in (there.public_id, "none")]

    assert refusals[0] == refusals[1]


def refusal(function, member, *, conversation=None, run=None):
    rest = {"run": run, "items": []} if function is append_items else {"previous_response": run}
    with pytest.raises(NotFound) as refused:
        function(member.tenant.pk, conversation=conversation, **rest)
    return refused.value.message, refused.value.param


def test_a_response_that_was_not_to_be_stored_is_not_continued(acme):
    run = insert_run(acme, store=False)

    with pytest.raises(NotFound):
        history_of(acme, previous=run)
