"""Instructor: answers as objects."""

import instructor
from facts import API_KEY, BASE_URL, LIMITED_KEY, QUESTION, WRITER, tell
from openai import OpenAI
from pydantic import BaseModel


class Person(BaseModel):
    name: str


def ask(model=WRITER, key=API_KEY, mode=instructor.Mode.JSON_SCHEMA, **more):
    client = OpenAI(base_url=BASE_URL, api_key=key, max_retries=0)
    return instructor.from_openai(client, mode=mode).chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": QUESTION}],
        response_model=more.pop("response_model", Person),
        max_retries=0,
        **more,
    )


def stream():
    *_, last = ask(response_model=instructor.Partial[Person], stream=True)
    return last.name


if __name__ == "__main__":
    tell(
        {
            "schema": lambda: ask().name,
            "json": lambda: ask(mode=instructor.Mode.JSON).name,
            "stream": stream,
            "key_error": lambda: ask(key="tnt_wrong"),
            "model_error": lambda: ask("nothing"),
            "limit_error": lambda: ask(key=LIMITED_KEY),
        }
    )
