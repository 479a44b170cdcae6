"""Semantic Kernel's chat service, with a function that it calls by itself."""

import asyncio

from facts import API_KEY, BASE_URL, CALLER, LIMITED_KEY, QUESTION, TALKER, tell
from openai import AsyncOpenAI
from semantic_kernel import Kernel
from semantic_kernel.connectors.ai.function_choice_behavior import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import (
    OpenAIChatCompletion,
    OpenAIChatPromptExecutionSettings,
)
from semantic_kernel.contents import ChatHistory
from semantic_kernel.functions import kernel_function


class Sums:
    @kernel_function(description="Adds.", name="add")
    def add(self, a: int, b: int) -> str:
        return str(a + b)


def service(name, key):
    client = AsyncOpenAI(base_url=BASE_URL, api_key=key, max_retries=0)
    return OpenAIChatCompletion(ai_model_id=name, async_client=client)


def history():
    asked = ChatHistory()
    asked.add_user_message(QUESTION)
    return asked


def ask(name=TALKER, key=API_KEY, **more):
    settings = OpenAIChatPromptExecutionSettings(**more.pop("settings", {}))
    return asyncio.run(
        service(name, key).get_chat_message_content(history(), settings=settings, **more)
    )


def answer():
    said = ask()
    usage = said.metadata["usage"]
    return [str(said), [usage.prompt_tokens, usage.completion_tokens]]


def stream():
    async def streaming():
        settings = OpenAIChatPromptExecutionSettings()
        text = ""
        pieces = service(TALKER, API_KEY).get_streaming_chat_message_content(history(), settings)
        async for piece in pieces:
            text += str(piece or "")
        return text

    return asyncio.run(streaming())


def tools():
    kernel = Kernel()
    kernel.add_plugin(Sums(), plugin_name="")
    behavior = FunctionChoiceBehavior.Auto()
    return str(ask(CALLER, kernel=kernel, settings={"function_choice_behavior": behavior}))


if __name__ == "__main__":
    tell(
        {
            "answer": answer,
            "stream": stream,
            "tools": tools,
            "key_error": lambda: ask(key="tnt_wrong"),
            "model_error": lambda: ask("nothing"),
            "limit_error": lambda: ask(key=LIMITED_KEY),
        }
    )
