"""langchain-openai, over chat completions and over responses."""

from facts import (
    API_KEY,
    BASE_URL,
    CALLER,
    HELPER,
    LIMITED_KEY,
    QUESTION,
    TALKER,
    VECTORS,
    WRITER,
    tell,
)
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


class Person(BaseModel):
    name: str


@tool
def add(a: int, b: int) -> str:
    """Adds."""
    return str(a + b)


def model(name=TALKER, key=API_KEY, **more):
    return ChatOpenAI(model=name, base_url=BASE_URL, api_key=key, max_retries=0, **more)


def used(message):
    usage = message.usage_metadata
    return [usage["input_tokens"], usage["output_tokens"]]


def answer(**more):
    said = model(**more).invoke(QUESTION)
    return [said.text, used(said)]


def stream(**more):
    whole = None
    for chunk in model(stream_usage=True, **more).stream(QUESTION):
        whole = chunk if whole is None else whole + chunk
    return [whole.text, used(whole)]


def tools(**more):
    able = model(CALLER, **more).bind_tools([add])
    messages = [HumanMessage(QUESTION), able.invoke(QUESTION)]
    (call,) = messages[-1].tool_calls
    messages.append(ToolMessage(add.invoke(call["args"]), tool_call_id=call["id"]))
    return [call["args"], able.invoke(messages).text]


def agent(**more):
    said = model(HELPER, **more).invoke(QUESTION)
    return [said.text, said.tool_calls]


def schema(**more):
    return model(WRITER, **more).with_structured_output(Person).invoke(QUESTION).name


def embeddings():
    vectors = OpenAIEmbeddings(
        model=VECTORS, base_url=BASE_URL, api_key=API_KEY, check_embedding_ctx_length=False
    )
    return len(vectors.embed_documents(["one", "two"]))


if __name__ == "__main__":
    responses = {"use_responses_api": True}
    tell(
        {
            "answer": answer,
            "answer_of_responses": lambda: answer(**responses),
            "stream": stream,
            "stream_of_responses": lambda: stream(**responses),
            "tools": tools,
            "tools_of_responses": lambda: tools(**responses),
            "agent": agent,
            "agent_of_responses": lambda: agent(**responses),
            "schema": schema,
            "schema_of_responses": lambda: schema(**responses),
            "embeddings": embeddings,
            "key_error": lambda: answer(key="tnt_wrong"),
            "model_error": lambda: answer(name="nothing"),
            "limit_error": lambda: answer(key=LIMITED_KEY),
        }
    )
