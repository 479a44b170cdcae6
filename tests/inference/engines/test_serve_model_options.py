"""Validation of the options of `serve_model`, before an engine is started."""

import os
import subprocess
import sys

import pytest
from django.core.management.base import CommandError

from inference.engines.engine import EngineRequest
from inference.engines.vllm import build_command, orders_by_priority
from inference.management.commands.serve_model import Command, read_service
from tests.fixtures.servers.serving import CHECKOUT

ENVIRONMENT = {"TENANTRY_JOIN_TOKEN": "tnj_x"}


def read(*arguments):
    parser = Command().create_parser("manage.py", "serve_model")
    given = vars(parser.parse_args(["tiny", "--model", "m", *arguments]))
    return read_service(given, environ=ENVIRONMENT)


def passed(*options):
    return tuple(f"--engine-option={option}" for option in options)


def arguments_of(service):
    return build_command(service.request).arguments


@pytest.fixture(autouse=True)
def vllm_on_the_path(tmp_path, monkeypatch):
    for name in ("vllm", "python"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    "option", ["--host", "--port", "--api-key", "--served-model-name", "--uds=/tmp/x", "-tp"]
)
def test_what_it_sets_itself_cannot_be_passed_on(option):
    with pytest.raises(CommandError, match="cannot be passed to the engine: serve_model sets it"):
        read(*passed(option, "x"))


def test_everything_else_is_passed_on_as_it_is():
    arguments = arguments_of(read(*passed("--max-model-len", "7", "--dtype=auto")))

    assert arguments[-3:] == ("--max-model-len", "7", "--dtype=auto")


def test_a_model_is_spread_over_as_many_gpus_as_are_wanted():
    arguments = arguments_of(read("--tensor-parallel", "4"))

    assert arguments[arguments.index("--tensor-parallel-size") + 1] == "4"


def test_it_listens_on_a_private_interface_only_and_its_key_is_new_each_time():
    first, second = read(), read()

    arguments = arguments_of(first)
    assert arguments[arguments.index("--host") + 1] == "127.0.0.1"
    assert first.request.credential != second.request.credential
    assert len(first.request.credential) >= 40
    assert first.request.credential not in arguments


@pytest.mark.parametrize("host", ["0.0.0.0", "8.8.8.8", "::"])
def test_an_interface_that_is_not_private_is_warned_of(host, caplog):
    read("--host", host)

    assert "the listen address is not private" in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.5", "engine-1", "fd00::1"])
def test_a_private_one_is_not(host, caplog):
    read("--host", host)

    assert not caplog.text


@pytest.mark.parametrize(
    ("options", "orders"),
    [
        ((), True),
        (("--max-model-len", "7"), True),
        (("--scheduling-policy", "priority"), True),
        (("--scheduling-policy", "fcfs"), False),
        (("--scheduling-policy=fcfs",), False),
    ],
)
def test_it_says_whether_the_engine_orders_by_priority(options, orders):
    assert orders_by_priority(options) is orders
    assert ("priority" in read(*passed(*options)).capabilities) is orders


def test_an_engine_of_another_kind_does_not():
    assert read("--engine", "llamacpp", "--capability", "tools").capabilities == ("tools",)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (("--weight", "0"), "--weight must be 1 or more"),
        (("--tensor-parallel", "0"), "--tensor-parallel must be 1 or more"),
        (("--drain-seconds", "-1"), "--drain-seconds must be 0 or more"),
        (("--engine", "llamacpp", "--tensor-parallel", "2"), "is for vLLM only"),
        (("--engine", "llamacpp", *passed("--port", "1")), "--port cannot be passed to the engine"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(wrong, says):
    with pytest.raises(CommandError, match=says):
        read(*wrong)


def test_requests_have_ten_minutes_to_finish_unless_it_is_said_otherwise():
    assert read().drain_seconds == 600
    assert read("--drain-seconds", "5").drain_seconds == 5


@pytest.mark.slow
def test_a_refusal_is_a_sentence_and_no_trace():
    ended = subprocess.run(
        [sys.executable, "manage.py", "serve_model", "tiny", "--model", "m", "--", "--port", "1"],
        cwd=CHECKOUT, env={**os.environ, **ENVIRONMENT}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip

    assert ended.returncode == 1
    assert "--port cannot be passed to the engine" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_request_shows_neither_more_nor_fewer_gpus_than_one_by_itself():
    request = EngineRequest(
        route="r", model="m", host="h", port=1, max_concurrency=1, credential="c"
    )

    assert "--tensor-parallel-size" not in build_command(request).arguments
