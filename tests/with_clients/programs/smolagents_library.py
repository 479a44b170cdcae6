"""smolagents: its model, and an agent that calls a tool."""

from facts import API_KEY, BASE_URL, CALLER, LIMITED_KEY, QUESTION, TALKER, tell
from smolagents import ChatMessage, MessageRole, OpenAIModel, tool

USER = ChatMessage(role=MessageRole.USER, content=[{"type": "text", "text": QUESTION}])


@tool
def add(a: int, b: int) -> int:
    """Adds.

    Args:
        a: The first.
        b: The second.
    """
    return a + b


def model(name=TALKER, key=API_KEY):
    return OpenAIModel(
        model_id=name,
        api_base=BASE_URL,
        api_key=key,
        client_kwargs={"max_retries": 0},
        retry=False,
    )


def used(usage):
    return [usage.input_tokens, usage.output_tokens]


def answer(**more):
    said = model(**more).generate([USER])
    return [said.content, used(said.token_usage)]


def stream():
    text, usage = "", None
    for delta in model().generate_stream([USER]):
        text += delta.content or ""
        usage = delta.token_usage or usage
    return [text, used(usage)]


def tools():
    said = model(CALLER).generate([USER], tools_to_call_from=[add])
    (call,) = said.tool_calls
    return call.function.arguments


if __name__ == "__main__":
    tell(
        {
            "answer": answer,
            "stream": stream,
            "tools": tools,
            "key_error": lambda: answer(key="tnt_wrong"),
            "model_error": lambda: answer(name="nothing"),
            "limit_error": lambda: answer(key=LIMITED_KEY),
        }
    )
