"""LlamaIndex: its model for servers like OpenAI's, and an agent that calls a tool."""

import asyncio

from facts import API_KEY, BASE_URL, CALLER, LIMITED_KEY, QUESTION, TALKER, WRITER, tell
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class Person(BaseModel):
    name: str


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def model(name=TALKER, key=API_KEY):
    return OpenAILike(
        model=name,
        api_base=BASE_URL,
        api_key=key,
        is_chat_model=True,
        is_function_calling_model=True,
        should_use_structured_outputs=True,
        context_window=4096,
        max_retries=0,
    )


def ask(**more):
    return model(**more).chat([ChatMessage(role="user", content=QUESTION)])


def answer():
    said = ask()
    usage = said.raw.usage
    return [said.message.content, [usage.prompt_tokens, usage.completion_tokens]]


def stream():
    *_, last = model().stream_chat([ChatMessage(role="user", content=QUESTION)])
    return last.message.content


def tools():
    async def running():
        agent = FunctionAgent(tools=[add], llm=model(CALLER), streaming=False)
        return str(await agent.run(QUESTION))

    return asyncio.run(running())


def streamed_tools():
    async def running():
        return str(await FunctionAgent(tools=[add], llm=model(CALLER)).run(QUESTION))

    return asyncio.run(running())


if __name__ == "__main__":
    tell(
        {
            "answer": answer,
            "stream": stream,
            "tools": tools,
            "streamed_tools": streamed_tools,
            "schema": lambda: model(WRITER).as_structured_llm(Person).complete(QUESTION).raw.name,
            "key_error": lambda: ask(key="tnt_wrong"),
            "model_error": lambda: ask(name="nothing"),
            "limit_error": lambda: ask(key=LIMITED_KEY),
        }
    )
