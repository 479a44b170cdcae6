"""Validation of the usage that engines report."""

import json

import pytest

from inference.relay.usage import (
    MAX_TOKENS,
    estimate_tokens,
    estimate_usage,
    read_usage,
    read_usage_of_answer,
)
from kernel.errors import UpstreamError
from tenants.admission.usage.records import Usage


def said(usage) -> bytes:
    return json.dumps({"choices": [], "usage": usage}).encode()


def counts(prompt=3, completion=2, **more):
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


def cached(tokens):
    return counts(prompt_tokens_details={"cached_tokens": tokens})


GOLDEN = {
    "vLLM": (counts(total_tokens=5, prompt_tokens_details=None), (3, 2, 0)),
    "OpenAI": (cached(1), (3, 2, 1)),
    "embeddings": ({"prompt_tokens": 3, "total_tokens": 3}, (3, 0, 0)),
    "zero": (counts(0, 0), (0, 0, 0)),
    "the most": (counts(MAX_TOKENS, MAX_TOKENS), (MAX_TOKENS, MAX_TOKENS, 0)),
    "more cached than sent": (cached(10), (3, 2, 3)),
    "cached below zero": (cached(-1), (3, 2, 0)),
    "cached as a text": (cached("1"), (3, 2, 0)),
    "cached as a truth": (counts(prompt_tokens_details={"cached_tokens": True}), (3, 2, 0)),
    "details as a list": (counts(prompt_tokens_details=[1]), (3, 2, 0)),
    "a wrong total": (counts(total_tokens=999), (3, 2, 0)),
    "numbers with a point": (counts(3.0, 2.0), (3, 2, 0)),
    "the names of responses": ({"input_tokens": 3, "output_tokens": 2}, (3, 2, 0)),
    "no prompt but a sum": ({"completion_tokens": 2, "total_tokens": 5}, (3, 2, 0)),
    "Moonshot's cache": (counts(cached_tokens=1), (3, 2, 1)),
    "DeepSeek's cache": (counts(prompt_cache_hit_tokens=1), (3, 2, 1)),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_what_engines_say_is_read(case):
    usage, (prompt, completion, in_cache) = GOLDEN[case]

    assert read_usage(said(usage)) == Usage(
        prompt_tokens=prompt, completion_tokens=completion, cached_tokens=in_cache
    )


NOT_BELIEVED = [
    *(None, {}, [], "5", 5, True, {"completion_tokens": 2}),
    *(counts(value) for value in (True, "3", -1, 3.5, MAX_TOKENS + 1, 2**63, None, [3])),
    *(counts(3, value) for value in (True, "2", -1, 2.5, MAX_TOKENS + 1, 2**64, None, {})),
]


@pytest.mark.parametrize("usage", NOT_BELIEVED)
def test_what_cannot_be_meant_is_not_believed(usage):
    assert read_usage(said(usage)) is None


PLACES = {
    "Moonshot's": {"choices": [{"index": 0, "usage": counts()}]},
    "Groq's": {"choices": [], "x_groq": {"id": "r", "usage": counts()}},
    "beside a null": {"choices": [{"usage": counts()}], "usage": None},
    "beside one that cannot be meant": {"choices": [{"usage": counts()}], "usage": {}},
}


@pytest.mark.parametrize("case", PLACES)
def test_usage_is_read_wherever_an_engine_puts_it(case):
    answer = json.dumps(PLACES[case]).encode()

    assert read_usage(answer) == Usage(prompt_tokens=3, completion_tokens=2)


@pytest.mark.parametrize("choices", [None, 5, [None], [{"usage": None}], {}, [{"usage": {}}]])
def test_another_place_without_usage_has_none(choices):
    assert read_usage(json.dumps({"choices": choices, "usage": {}}).encode()) is None


@pytest.mark.parametrize(
    ("text", "least", "most"), [("", 0, 0), ("word " * 2000, 2000, 2500), ("字" * 100, 75, 100)]
)
def test_the_tokens_of_a_text_are_estimated(text, least, most):
    assert least <= estimate_tokens(text) <= most


def test_an_answer_without_usage_has_none():
    assert read_usage(b'{"choices": []}') is None


NO_ANSWERS = [b"", b"<html>", b"[]", b'"x"', b'{"usage": {"a": 1e400}}', b'{"usage": "\xff"}']


@pytest.mark.parametrize("answer", [*NO_ANSWERS, b'{"usage":' + b"[" * 100_000])
def test_an_answer_that_is_no_object_is_the_engines_failure(answer):
    with pytest.raises(UpstreamError):
        read_usage_of_answer(answer)


def test_a_good_answer_is_read():
    assert read_usage_of_answer(said(counts())) == Usage(prompt_tokens=3, completion_tokens=2)


@pytest.mark.parametrize(("size", "tokens"), [(0, 0), (1, 1), (3, 1), (4, 2), (3000, 1000)])
def test_an_estimate_rounds_up_and_says_that_it_is_one(size, tokens):
    usage = estimate_usage(prompt_bytes=size, completion_tokens=7)

    assert usage == Usage(prompt_tokens=tokens, completion_tokens=7, estimated=True)


def test_the_total_is_what_was_sent_and_what_came():
    assert Usage(prompt_tokens=3, completion_tokens=2, cached_tokens=3).total_tokens == 5
