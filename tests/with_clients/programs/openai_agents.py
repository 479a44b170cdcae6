"""The Agents SDK, over responses and over chat completions."""

import asyncio

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    ToolOutputImage,
    ToolOutputText,
    function_tool,
    set_tracing_disabled,
)
from facts import API_KEY, BASE_URL, CALLER, HELPER, LIMITED_KEY, QUESTION, TALKER, WRITER, tell
from openai import AsyncOpenAI
from pydantic import BaseModel

PIXEL = "data:image/png;base64,iVBORw0KGgo="
set_tracing_disabled(disabled=True)


class Person(BaseModel):
    name: str


@function_tool
def add(a: int, b: int) -> str:
    return str(a + b)


@function_tool(name_override="add")
def draw(a: int, b: int) -> list[ToolOutputText | ToolOutputImage]:
    return [ToolOutputText(text="here"), ToolOutputImage(image_url=PIXEL)]


def model(name, kind=OpenAIResponsesModel, key=API_KEY):
    client = AsyncOpenAI(base_url=BASE_URL, api_key=key, max_retries=0)
    return kind(model=name, openai_client=client)


def agent(name, *, kind=OpenAIResponsesModel, key=API_KEY, **more):
    settings = ModelSettings(include_usage=True)
    return Agent(name="A", model=model(name, kind, key), model_settings=settings, **more)


def ask(name, **more):
    return asyncio.run(Runner.run(agent(name, **more), QUESTION))


def answered(said):
    usage = said.context_wrapper.usage
    return [said.final_output, [usage.input_tokens, usage.output_tokens]]


def stream(kind):
    async def streaming():
        run = Runner.run_streamed(agent(TALKER, kind=kind), QUESTION)
        text = ""
        async for event in run.stream_events():
            data = getattr(event, "data", None)
            if getattr(data, "type", "") == "response.output_text.delta":
                text += data.delta
        assert text == run.final_output
        return answered(run)

    return asyncio.run(streaming())


if __name__ == "__main__":
    chat = OpenAIChatCompletionsModel
    tell(
        {
            "answer": lambda: answered(ask(TALKER)),
            "answer_of_chat": lambda: answered(ask(TALKER, kind=chat)),
            "stream": lambda: stream(OpenAIResponsesModel),
            "stream_of_chat": lambda: stream(chat),
            "tools": lambda: ask(CALLER, tools=[add]).final_output,
            "tools_of_chat": lambda: ask(CALLER, tools=[add], kind=chat).final_output,
            "image_of_a_tool": lambda: ask(CALLER, tools=[draw]).final_output,
            "schema": lambda: ask(WRITER, output_type=Person).final_output.name,
            "agent": lambda: ask(HELPER).final_output,
            "agent_of_chat": lambda: ask(HELPER, kind=chat).final_output,
            "key_error": lambda: ask(TALKER, key="tnt_wrong"),
            "model_error": lambda: ask("nothing"),
            "limit_error": lambda: ask(TALKER, key=LIMITED_KEY),
        }
    )
