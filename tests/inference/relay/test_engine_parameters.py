"""Parameters by kind of engine: those that an engine silently ignores are rejected."""

import dataclasses
import json

import pytest

from inference.fleet.snapshot import Endpoint
from inference.relay.encoding import LLAMACPP_PARAMETERS, encode_chat, encode_embeddings
from inference.relay.schema import ChatRequest, EmbeddingsRequest, parse
from kernel.errors import InvalidParameter, UnsupportedParameter

ENDPOINT = Endpoint(id="e", address="http://e", model="m")
MESSAGES = [{"role": "user", "content": "hi"}]


def body(**fields) -> bytes:
    return json.dumps({"model": "tiny", "messages": MESSAGES, **fields}).encode()


EXTRAS = {
    "chat_template_kwargs": {"enable_thinking": False},
    "reasoning_effort": "low",
    "verbosity": "low",
    "include_reasoning": False,
    "thinking_token_budget": 100,
    "top_k": 40,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "structured_outputs": {"choice": ["a", "b"]},
    "guided_json": {"type": "object"},
    "guided_regex": "a+",
    "guided_choice": ["a"],
    "guided_grammar": "root ::= 'a'",
    "min_tokens": 5,
    "ignore_eos": True,
    "stop_token_ids": [1],
    "continue_final_message": True,
    "add_generation_prompt": False,
    "echo": True,
    "prompt_logprobs": 1,
    "logprob_token_ids": [5],
    "return_token_ids": True,
    "bad_words": ["x"],
    "allowed_token_ids": [1, 2],
    "truncate_prompt_tokens": 100,
    "documents": [{"text": "x"}],
    "skip_special_tokens": False,
}


@pytest.mark.parametrize("name", EXTRAS)
def test_what_vllm_takes_is_passed_on_to_it(name):
    for engine in ("vllm", "openai"):
        assert sent_to(engine, **{name: EXTRAS[name]})[name] == EXTRAS[name]


@pytest.mark.parametrize("name", sorted(set(EXTRAS) - LLAMACPP_PARAMETERS))
def test_what_llamacpp_would_drop_is_refused_by_its_name(name):
    with pytest.raises(UnsupportedParameter) as caught:
        sent_to("llamacpp", **{name: EXTRAS[name]})

    assert caught.value.param == name


def test_llamacpp_has_a_name_of_its_own_for_the_repetition_penalty():
    sent = sent_to("llamacpp", repetition_penalty=1.1, top_k=5)

    assert (sent["repeat_penalty"], sent["top_k"]) == (1.1, 5)
    assert "repetition_penalty" not in sent


NOTES = {
    "user": "me",
    "metadata": {"a": "b"},
    "store": True,
    "safety_identifier": "x",
    "prompt_cache_key": "x",
    "prompt_cache_retention": "24h",
    "service_tier": "auto",
    "prediction": {"type": "content", "content": "x"},
    "modalities": ["text"],
}


@pytest.mark.parametrize("name", NOTES)
def test_openais_notes_are_taken_and_not_passed_on(name):
    for engine in ("vllm", "openai", "llamacpp"):
        assert name not in sent_to(engine, **{name: NOTES[name]})


def sent_to(engine, *, endpoint=ENDPOINT, **fields):
    return json.loads(encode_chat(parse(body(**fields), ChatRequest), endpoint, engine=engine))


@pytest.mark.parametrize("name", ["chat_template", "tokenize", "tools", "messages", "return_dict"])
def test_a_template_of_a_tenant_never_reaches_an_engine(name):
    with pytest.raises(InvalidParameter) as caught:
        parse(body(chat_template_kwargs={"enable_thinking": True, name: "x"}), ChatRequest)

    error = caught.value
    assert error.param == f"chat_template_kwargs.{name}"
    assert "regex" not in error.message


def test_the_longest_answer_goes_by_the_name_that_the_engine_knows():
    modern = dataclasses.replace(ENDPOINT, limit_name="max_completion_tokens")
    for name in ("max_tokens", "max_completion_tokens"):
        old = sent_to("openai", **{name: 16})
        new = sent_to("openai", endpoint=modern, **{name: 16})

        assert (old["max_tokens"], "max_completion_tokens" in old) == (16, False)
        assert (new["max_completion_tokens"], "max_tokens" in new) == (16, False)


def test_a_message_that_only_refuses_is_a_text_for_the_engine():
    messages = [{"role": "assistant", "content": None, "refusal": "I cannot."}]

    (message,) = sent_to("vllm", messages=messages)["messages"]
    assert message == {"role": "assistant", "content": "I cannot."}


def test_of_a_spoken_answer_the_text_reaches_the_engine():
    messages = [{"role": "assistant", "content": "Hi", "audio": {"id": "a"}}]

    (message,) = sent_to("vllm", messages=messages)["messages"]
    assert message == {"role": "assistant", "content": "Hi"}


EMBEDDING = {
    "truncate_prompt_tokens": 8,
    "add_special_tokens": False,
    "normalize": True,
    "embed_dtype": "float16",
    "input_type": "query",
    "dimensions": 8,
    "encoding_format": "base64",
}


@pytest.mark.parametrize("name", EMBEDDING)
def test_parameters_of_embeddings_are_passed_on(name):
    data = json.dumps({"model": "m", "input": "x", name: EMBEDDING[name]}).encode()

    sent = json.loads(encode_embeddings(parse(data, EmbeddingsRequest), ENDPOINT, engine="vllm"))
    assert sent[name] == EMBEDDING[name]
