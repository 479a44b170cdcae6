"""Pydantic AI, over responses and over chat completions."""

import asyncio

from facts import API_KEY, BASE_URL, CALLER, HELPER, LIMITED_KEY, QUESTION, TALKER, WRITER, tell
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


class Person(BaseModel):
    name: str


def add(a: int, b: int):
    return a + b


def agent(name, kind=OpenAIChatModel, key=API_KEY, **more):
    client = AsyncOpenAI(base_url=BASE_URL, api_key=key, max_retries=0)
    return Agent(kind(name, provider=OpenAIProvider(openai_client=client)), **more)


def ask(name, *arguments, **more):
    return asyncio.run(agent(name, *arguments, **more).run(QUESTION))


def used(said):
    usage = said.usage() if callable(said.usage) else said.usage
    return [usage.input_tokens, usage.output_tokens]


def answer(*kind):
    said = ask(TALKER, *kind)
    return [said.output, used(said)]


def stream(*kind):
    async def streaming():
        async with agent(TALKER, *kind).run_stream(QUESTION) as said:
            text = "".join([piece async for piece in said.stream_text(delta=True)])
            return [text, used(said)]

    return asyncio.run(streaming())


if __name__ == "__main__":
    responses = OpenAIResponsesModel
    tell(
        {
            "answer": answer,
            "answer_of_responses": lambda: answer(responses),
            "stream": stream,
            "stream_of_responses": lambda: stream(responses),
            "tools": lambda: ask(CALLER, tools=[add]).output,
            "tools_of_responses": lambda: ask(CALLER, responses, tools=[add]).output,
            "schema": lambda: ask(WRITER, output_type=NativeOutput(Person)).output.name,
            "schema_of_responses": lambda: (
                ask(WRITER, responses, output_type=NativeOutput(Person)).output.name
            ),
            "agent": lambda: ask(HELPER).output,
            "agent_of_responses": lambda: ask(HELPER, responses).output,
            "key_error": lambda: ask(TALKER, key="tnt_wrong"),
            "model_error": lambda: ask("nothing"),
            "limit_error": lambda: ask(TALKER, key=LIMITED_KEY),
        }
    )
