"""The official Python client works unchanged against `/v1/responses`."""

import pytest

from tests.fakes.model_server import Behaviour

openai = pytest.importorskip("openai", reason="the official client is not installed")

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
async def client(gateway, acme):
    async with openai.AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key=acme.key, max_retries=0
    ) as client:
        yield client


async def test_it_creates_and_retrieves(client, engine):
    engine.behave(Behaviour(tokens=3))

    response = await client.responses.create(model="tiny", input="hello")
    again = await client.responses.retrieve(response.id)

    assert (response.status, response.output_text) == ("completed", "tok0 tok1 tok2")
    assert again.output_text == response.output_text
    assert again.usage.output_tokens == response.usage.output_tokens


async def test_it_streams_and_resumes(client, engine):
    engine.behave(Behaviour(tokens=20, token_seconds=0.02))
    stream = await client.responses.create(model="tiny", input="hello", stream=True)
    events = [await anext(stream) for _ in range(6)]
    await stream.close()

    rest = await client.responses.retrieve(
        events[0].response.id, stream=True, starting_after=events[-1].sequence_number
    )
    events += [event async for event in rest]

    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == events[-1].response.output_text


async def test_its_stream_helper_puts_the_answer_together(client, engine):
    engine.behave(Behaviour(tokens=5))

    async with client.responses.stream(model="tiny", input="hello") as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()

    assert final.output_text == "tok0 tok1 tok2 tok3 tok4"


async def test_it_cancels_what_runs_in_the_background(client, engine):
    engine.behave(Behaviour(tokens=2000, token_seconds=0.02))
    response = await client.responses.create(model="tiny", input="hello", background=True)
    assert response.status in {"queued", "in_progress"}

    cancelled = await client.responses.cancel(response.id)

    assert cancelled.status == "cancelled"


async def test_it_lists_the_input_and_deletes(client):
    response = await client.responses.create(model="tiny", input="hello")

    items = await client.responses.input_items.list(response.id)
    await client.responses.delete(response.id)

    assert items.data[0].content[0].text == "hello"
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(response.id)


async def test_it_follows_up(client, engine):
    first = await client.responses.create(model="tiny", input="one")
    await client.responses.create(model="tiny", input="two", previous_response_id=first.id)

    asked = [message["content"] for message in engine.records.rows[1].body["messages"]]
    assert asked == ["one", first.output_text, "two"]


async def test_it_understands_our_errors(client):
    with pytest.raises(openai.NotFoundError) as refusal:
        await client.responses.create(model="nobody", input="hello")

    assert refusal.value.code == "model_not_found"


async def test_chat_completions_stay_as_they_were(client):
    messages = [{"role": "user", "content": "hello"}]

    answer = await client.chat.completions.create(model="tiny", messages=messages)

    assert answer.choices[0].message.content.startswith("tok0")
