"""Haystack's chat generator."""

from facts import API_KEY, BASE_URL, CALLER, LIMITED_KEY, QUESTION, TALKER, tell
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import Tool
from haystack.utils import Secret

ADD = Tool(
    name="add",
    description="Adds.",
    parameters={
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
    function=lambda a, b: str(a + b),
)
USER = ChatMessage.from_user(QUESTION)


def ask(model=TALKER, key=API_KEY, messages=(USER,), **more):
    generator = OpenAIChatGenerator(
        model=model,
        api_key=Secret.from_token(key),
        api_base_url=BASE_URL,
        max_retries=0,
        **more,
    )
    (reply,) = generator.run(messages=list(messages))["replies"]
    return reply


def answered(reply):
    usage = reply.meta["usage"]
    return [reply.text, [usage["prompt_tokens"], usage["completion_tokens"]]]


def stream():
    texts = []
    options = {"stream_options": {"include_usage": True}}
    reply = ask(
        streaming_callback=lambda chunk: texts.append(chunk.content), generation_kwargs=options
    )
    assert "".join(texts) == reply.text
    return answered(reply)


def tools():
    asked = ask(CALLER, tools=[ADD])
    (call,) = asked.tool_calls
    result = ChatMessage.from_tool(ADD.invoke(**call.arguments), origin=call)
    return [call.arguments, ask(CALLER, messages=(USER, asked, result), tools=[ADD]).text]


if __name__ == "__main__":
    tell(
        {
            "answer": lambda: answered(ask()),
            "stream": stream,
            "tools": tools,
            "key_error": lambda: ask(key="tnt_wrong"),
            "model_error": lambda: ask("nothing"),
            "limit_error": lambda: ask(key=LIMITED_KEY),
        }
    )
