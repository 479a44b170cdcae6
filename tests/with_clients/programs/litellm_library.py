"""LiteLLM as a client."""

import litellm
from facts import API_KEY, BASE_URL, CALLER, LIMITED_KEY, QUESTION, TALKER, VECTORS, tell

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Adds.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            },
        },
    }
]
USER = {"role": "user", "content": QUESTION}


def ask(model=TALKER, key=API_KEY, messages=(USER,), **more):
    return litellm.completion(
        model=f"openai/{model}",
        api_base=BASE_URL,
        api_key=key,
        messages=list(messages),
        max_retries=0,
        num_retries=0,
        **more,
    )


def used(usage):
    return [usage.prompt_tokens, usage.completion_tokens]


def answer():
    said = ask()
    return [said.choices[0].message.content, used(said.usage)]


def stream():
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    whole = litellm.stream_chunk_builder(chunks, messages=[USER])
    return [whole.choices[0].message.content, used(whole.usage)]


def tools():
    message = ask(CALLER, tools=TOOLS).choices[0].message
    (call,) = message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "5"}
    said = ask(CALLER, messages=(USER, message, result), tools=TOOLS)
    return [call.function.arguments, said.choices[0].message.content]


def response():
    said = litellm.responses(
        model=f"openai/{TALKER}", api_base=BASE_URL, api_key=API_KEY, input=QUESTION
    )
    return said.output[0].content[0].text


def embeddings():
    said = litellm.embedding(
        model=f"openai/{VECTORS}", api_base=BASE_URL, api_key=API_KEY, input=["one", "two"]
    )
    return len(said.data)


if __name__ == "__main__":
    tell(
        {
            "answer": answer,
            "stream": stream,
            "tools": tools,
            "response": response,
            "embeddings": embeddings,
            "key_error": lambda: ask(key="tnt_wrong"),
            "model_error": lambda: ask("nothing"),
            "limit_error": lambda: ask(key=LIMITED_KEY),
        }
    )
