"""Frames that ask for a response are read as bodies are: null is absent, names are the caller's."""

import json

import pytest

from agents.doors.http.create_response import RestBody
from agents.doors.websocket.socket_frames import ResumeResponse, parse_frame
from inference.relay.schema import parse
from kernel.errors import MissingParameter, PlatformError

BODY = {"model": "tiny", "input": "x"}


def refusal(read, *args):
    with pytest.raises(PlatformError) as caught:
        read(*args)
    return type(caught.value), caught.value.message, caught.value.param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"metadata": {"ok": "x", "wrong": 1}}, "metadata.wrong"),
        ({"variables": {"city": 3}}, "variables.city"),
        ({"input": None}, "input"),
        ({"model": None}, "model"),
        ({"conversation": {"id": None}}, "conversation.id"),
        ({"temperature": 9}, "temperature"),
    ],
    ids=str,
)
def test_a_frame_is_refused_as_the_same_body_is(body, param):
    frame = json.dumps({"type": "response.create", **BODY, **body})

    found = refusal(parse_frame, frame)

    assert found == refusal(parse, json.dumps({**BODY, **body}).encode(), RestBody)
    assert found[2] == param


def test_a_member_that_is_null_is_absent():
    frame = {"type": "response.resume", "response_id": "resp_1", "starting_after": None}
    assert parse_frame(json.dumps(frame)) == ResumeResponse(response_id="resp_1")


@pytest.mark.parametrize("frame", [{}, {"type": None}])
def test_a_frame_has_a_type(frame):
    assert refusal(parse_frame, json.dumps(frame))[::2] == (MissingParameter, "type")
