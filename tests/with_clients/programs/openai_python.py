"""The official client: chat completions, responses, tools, schemas, embeddings."""

from facts import API_KEY, BASE_URL, CALLER, LIMITED_KEY, QUESTION, TALKER, VECTORS, WRITER, tell
from openai import OpenAI
from pydantic import BaseModel

PARAMETERS = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
USER = {"role": "user", "content": QUESTION}


class Person(BaseModel):
    name: str


def client(key=API_KEY):
    return OpenAI(base_url=BASE_URL, api_key=key, max_retries=0)


def chat(model=TALKER, key=API_KEY, **more):
    return client(key).chat.completions.create(model=model, messages=[USER], **more)


def answer():
    said = chat()
    return [said.choices[0].message.content, used(said.usage)]


def used(usage):
    return [usage.prompt_tokens, usage.completion_tokens]


def stream():
    text, usages = "", []
    for chunk in chat(stream=True, stream_options={"include_usage": True}):
        if chunk.usage:
            usages.append(used(chunk.usage))
        for choice in chunk.choices:
            text += choice.delta.content or ""
    (usage,) = usages
    return [text, usage]


def tools():
    function = {"name": "add", "parameters": PARAMETERS, "strict": True}
    offered = [{"type": "function", "function": function}]
    messages = [USER]
    said = client().chat.completions.create(model=CALLER, messages=messages, tools=offered)
    message = said.choices[0].message
    (call,) = message.tool_calls
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "5"}]
    said = client().chat.completions.create(model=CALLER, messages=messages, tools=offered)
    return [call.function.arguments, said.choices[0].message.content]


def tools_of_a_response():
    offered = [{"type": "function", "name": "add", "parameters": PARAMETERS, "strict": True}]
    said = client().responses.create(model=CALLER, input=QUESTION, tools=offered)
    (call,) = [item for item in said.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "5"}
    again = client().responses.create(
        model=CALLER, input=[result], tools=offered, previous_response_id=said.id
    )
    by_hand = client().responses.create(
        model=CALLER, input=[USER, *said.output, result], tools=offered, store=False
    )
    return [call.arguments, again.output_text, by_hand.output_text]


def schema():
    asked = {"model": WRITER, "messages": [USER], "response_format": Person}
    return client().chat.completions.parse(**asked).choices[0].message.parsed.name


def schema_of_a_response():
    said = client().responses.parse(model=WRITER, input=QUESTION, text_format=Person)
    return said.output_parsed.name


def response():
    said = client().responses.create(model=TALKER, input=QUESTION)
    return [said.output_text, [said.usage.input_tokens, said.usage.output_tokens]]


def streamed_response():
    with client().responses.stream(model=TALKER, input=QUESTION) as events:
        kinds = [event.type for event in events]
        final = events.get_final_response()
    usage = [final.usage.input_tokens, final.usage.output_tokens]
    return [final.output_text, usage, kinds[0], kinds[-1]]


def conversation():
    with_client = client()
    name = with_client.conversations.create().id
    with_client.responses.create(model=TALKER, input="one", conversation=name)
    with_client.responses.create(model=TALKER, input="two", conversation=name)
    return len(with_client.conversations.items.list(name).data)


def embeddings():
    said = client().embeddings.create(model=VECTORS, input=["one", "two"])
    return [len(said.data), len(said.data[0].embedding) > 0, said.usage.prompt_tokens > 0]


def models():
    return TALKER in {model.id for model in client().models.list()}


if __name__ == "__main__":
    tell(
        {
            "answer": answer,
            "stream": stream,
            "tools": tools,
            "tools_of_a_response": tools_of_a_response,
            "schema": schema,
            "schema_of_a_response": schema_of_a_response,
            "response": response,
            "streamed_response": streamed_response,
            "conversation": conversation,
            "embeddings": embeddings,
            "models": models,
            "key_error": lambda: chat(key="tnt_wrong"),
            "model_error": lambda: chat(model="nothing"),
            "limit_error": lambda: chat(key=LIMITED_KEY),
        }
    )
