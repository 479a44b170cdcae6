"""Classification of engine errors by the status, then the error code, then the message."""

import json
import time
from email.utils import formatdate

import pytest

from inference.errors import ContextLengthExceeded, UpstreamRateLimited
from inference.relay.answers.refusals import failure_of, failure_of_error, retry_after
from kernel.errors import InvalidParameter, Overloaded, UpstreamError

TOO_LONG = {
    "vLLM": "This model's maximum context length is 8 tokens. However, you requested 9 tokens.",
    "vLLM, newer": "The prompt (length 20) is longer than the maximum model length of 10.",
    "llama.cpp": "the request exceeds the available context size, try increasing it",
    "SGLang": "The input (20 tokens) is longer than the model's context length (10 tokens).",
    "Anthropic's": "prompt is too long: 20 tokens > 10 maximum",
    "Gemini's": "The input token count (20) exceeds the maximum number of tokens allowed (10).",
    "TGI": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096",
}
NOT_TOO_LONG = {
    "a schema": ("Invalid schema for response_format 'ContextItem'", "invalid_schema"),
    "a schema without a code": ("Invalid schema 'ContextItem'", None),
    "another code": ("The context window of tool X is wrong", "invalid_tool"),
    "a role": ("Unknown role in this context", 400),
}


def refusal(status=400, **error):
    return failure_of(status, json.dumps({"error": error}).encode())


@pytest.mark.parametrize("case", TOO_LONG)
def test_a_prompt_that_is_too_long_is_known_by_the_usual_words(case):
    error = refusal(message=TOO_LONG[case], type="BadRequestError", code=400)

    assert isinstance(error, ContextLengthExceeded)
    assert error.message == TOO_LONG[case]


@pytest.mark.parametrize("case", NOT_TOO_LONG)
def test_other_words_about_a_context_are_no_length(case):
    message, code = NOT_TOO_LONG[case]

    assert type(refusal(message=message, code=code)) is InvalidParameter


@pytest.mark.parametrize("member", ["code", "type"])
@pytest.mark.parametrize("code", ["context_length_exceeded", "exceed_context_size_error"])
def test_the_engines_code_comes_before_its_words(code, member):
    assert isinstance(refusal(message="Too much.", **{member: code}), ContextLengthExceeded)


SHAPES = {
    "OpenAI's": ({"error": {"message": "Bad.", "param": "top_p"}}, "Bad.", "top_p"),
    "a text": ({"error": "Bad."}, "Bad.", None),
    "older": ({"object": "error", "message": "Bad."}, "Bad.", None),
    "FastAPI's text": ({"detail": "Bad."}, "Bad.", None),
    "FastAPI's list": (
        {"detail": [{"loc": ["body", "temperature"], "msg": "Bad.", "type": "x"}]},
        "temperature: Bad.",
        "temperature",
    ),
    "an object in detail": ({"detail": {"message": "Bad."}}, "Bad.", None),
    "Google's": ([{"error": {"message": "Bad.", "code": 400}}], "Bad.", None),
    "nothing": ({}, InvalidParameter().message, None),
    "no message": ({"error": {"message": 5}}, InvalidParameter().message, None),
}


@pytest.mark.parametrize("case", SHAPES)
def test_the_complaint_is_shown_whatever_its_shape(case):
    body, message, param = SHAPES[case]

    error = failure_of(400, json.dumps(body).encode())

    assert (type(error), error.message, error.param) == (InvalidParameter, message, param)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_only_these_statuses_are_about_the_request(status):
    assert isinstance(failure_of(status, b"{}"), InvalidParameter)


@pytest.mark.parametrize("status", [201, 302, 401, 402, 403, 404, 408, 425, 500, 501, 505, 524])
def test_with_every_other_status_the_endpoint_is_to_blame(status):
    assert type(failure_of(status, b'{"error": {"message": "x"}}')) is UpstreamError


@pytest.mark.parametrize("code", ["invalid_api_key", "insufficient_quota", "model_not_found"])
def test_a_400_about_the_operators_account_is_the_endpoints_fault(code):
    assert isinstance(refusal(message="x", code=code), UpstreamError)


def test_the_page_of_a_proxy_is_no_complaint():
    assert isinstance(failure_of(400, b"\n<html>Bad Request</html>"), UpstreamError)


def test_the_engines_own_rate_limit_is_one():
    error = failure_of(429, b"", headers={b"retry-after": b"17"})

    assert (type(error), error.status) == (UpstreamRateLimited, 429)
    assert dict(error.headers())[b"retry-after"] == b"17"


WAITS = {
    b"17": 17,
    b" 23 ": 23,
    b"1.5": 1.5,
    b"0": None,
    b"-4": None,
    b"soon": None,
    b"": None,
    b"nan": None,
    b"inf": None,
    b"9" * 30: 24 * 3600,
    b"Wed, 21 Oct 2015 07:28:00 GMT": None,
}


@pytest.mark.parametrize("text", WAITS)
def test_the_time_to_wait_is_read(text):
    assert retry_after({b"retry-after": text}) == WAITS[text]


def test_the_time_to_wait_may_be_a_date():
    date = formatdate(time.time() + 60, usegmt=True).encode()

    assert retry_after({b"retry-after": date}) == pytest.approx(60, abs=3)


def test_milliseconds_come_first():
    assert retry_after({b"retry-after-ms": b"1500", b"retry-after": b"2"}) == 1.5


def test_without_a_time_to_wait_it_is_a_second():
    assert failure_of(503).retry_after == 1


ERRORS = {
    "a gateway's": ({"code": 502, "message": "x"}, UpstreamError),
    "a status in a text": ({"code": "503"}, Overloaded),
    "rate limit": ({"code": 429}, UpstreamRateLimited),
    "rate limit by its type": ({"type": "rate_limit_error"}, UpstreamRateLimited),
    "too long": ({"code": "context_length_exceeded", "message": "x"}, ContextLengthExceeded),
    "vLLM's": ({"code": 400, "message": "x"}, InvalidParameter),
    "OpenAI's": ({"type": "invalid_request_error", "message": "x"}, InvalidParameter),
    "a text": ("boom", UpstreamError),
    "a list": ([1], UpstreamError),
    "true": (True, UpstreamError),
    "a status that is none": ({"code": 12345}, UpstreamError),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_that_comes_with_status_200_is_read_by_its_code(case):
    error, expected = ERRORS[case]

    assert type(failure_of_error(error)) is expected
