"""Summing up the beginning of a conversation: once for a while, and never at the cost of a turn."""

import pytest

from agents.conversations.store import (
    append_items,
    create_conversation,
    delete_item,
    load_history,
    store_summary,
)
from agents.runtime.context.summarization import SUMMARY_PREFIX, fit_context
from agents.runtime.context.window import tokens_of
from agents.schema.items import StoredItem, Summary, user_message
from inference.errors import ContextLengthExceeded, UpstreamBroken
from kernel.errors import NotFound
from tests.agents.conversations.test_conversation_store import texts

ONE = tokens_of(user_message("0"))
ROOM = 40 * ONE


def said(count):
    return [user_message(str(n)) for n in range(count)]


class Model:
    """Sums up, and remembers what it was told."""

    def __init__(self, answer="all of it", error=None):
        self.answer, self.error, self.asked = answer, error, []

    async def __call__(self, messages):
        self.asked.append(messages)
        if self.error:
            raise self.error
        return self.answer


async def fit(history, model, *, room=ROOM):
    return await fit_context(
        history=history, input_items=[user_message("now")], room=room, summarise=model
    )


async def test_what_fits_is_not_summed_up():
    model = Model()
    context = await fit(said(39), model)

    assert (len(context.items), context.summary, model.asked) == (40, None, [])


async def test_the_beginning_becomes_a_summary():
    history = said(80)
    model = Model()

    context = await fit(history, model)

    assert context.items[0] == context.summary
    assert context.summary.text == f"{SUMMARY_PREFIX}all of it"
    rest = [item.text for item in context.items[1:]]
    assert rest[-1] == "now"
    gone = next(n for n, item in enumerate(history) if item.id == context.through)
    assert rest[:-1] == [item.text for item in history[gone + 1 :]]
    assert sum(map(tokens_of, context.items)) <= ROOM
    assert len(model.asked) == 1


async def test_half_of_the_context_is_free_then():
    context = await fit(said(80), Model())

    assert sum(map(tokens_of, context.items)) <= 24 * ONE


async def test_a_summary_is_summed_up_with_the_rest():
    earlier = Summary(id="sum_1", text="long ago")
    model = Model()

    context = await fit([earlier, *said(80)], model)

    assert [item for item in context.items if isinstance(item, Summary)] == [context.summary]
    assert model.asked[0][0].content == "long ago"


@pytest.mark.parametrize(
    "model", [Model(error=UpstreamBroken()), Model(answer="  "), Model(answer="x" * 9000)]
)
async def test_where_no_summary_can_be_had_the_oldest_is_left_out(model):
    context = await fit(said(80), model)

    assert context.summary is None
    assert [item.text for item in context.items][-2:] == ["79", "now"]
    assert len(context.items) == 40


async def test_without_a_model_the_oldest_is_left_out():
    context = await fit(said(80), None)

    assert context.summary is None
    assert len(context.items) == 40


async def test_a_question_that_is_too_long_is_refused():
    with pytest.raises(ContextLengthExceeded):
        await fit_context(history=[], input_items=[user_message("x" * 900)], room=100)


class TestKept:
    """A summary in the store."""

    @pytest.fixture
    def talk(self, acme):
        items = [StoredItem(item=item) for item in said(5)]
        facts = create_conversation(acme.tenant.pk, metadata={}, items=items)
        return facts.id, [each.item.id for each in items]

    @pytest.fixture
    def summed_up(self, acme, talk):
        conversation, ids = talk
        summary = Summary(id="sum_1", text="the first three")
        store_summary(acme.tenant.pk, conversation=conversation, summary=summary, through=ids[2])

    def history(self, acme, talk):
        return load_history(acme.tenant.pk, conversation=talk[0], previous_response=None)

    def test_it_stands_for_what_came_before(self, acme, talk, summed_up):
        append_items(
            acme.tenant.pk,
            conversation=talk[0],
            run=None,
            items=[StoredItem(item=user_message("after"))],
        )

        assert texts(self.history(acme, talk)) == ["the first three", "3", "4", "after"]

    def test_it_goes_with_what_it_tells_of(self, acme, talk, summed_up):
        delete_item(acme.tenant.pk, conversation=talk[0], item=talk[1][1])

        assert texts(self.history(acme, talk)) == ["0", "2", "3", "4"]

    def test_it_stays_when_something_later_goes(self, acme, talk, summed_up):
        delete_item(acme.tenant.pk, conversation=talk[0], item=talk[1][4])

        assert texts(self.history(acme, talk)) == ["the first three", "3"]

    def test_it_is_made_by_nobody_else(self, rival, talk):
        with pytest.raises(NotFound):
            store_summary(
                rival.tenant.pk,
                conversation=talk[0],
                summary=Summary(id="sum_2", text="mine"),
                through=talk[1][0],
            )
