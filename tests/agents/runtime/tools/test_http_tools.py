"""HTTP tools: what arguments make of a request, and what a model reads of the answer."""

import asyncio
import json
import logging
import time

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from agents.runtime.catalog.agents import RunLimits
from agents.runtime.loop.ports import Budget, CallContext, RunProgress, ToolSpec
from agents.runtime.loop.tool_arguments import WrongArguments
from agents.runtime.tools.http.calling import HttpTools
from agents.runtime.tools.http.request import build
from agents.runtime.tools.http.settings import HttpSettings, ensure_http_settings
from agents.runtime.tools.settings import WrongSettings, read_settings
from agents.runtime.tools.toolbox import KindToolbox
from agents.schema.loop_events import ToolEnded, ToolStarted
from kernel.egress.client import EgressFailed
from kernel.egress.rules import TargetRefused, rules_of
from tests.fakes.loop_ports import Stage, outputs
from tests.fakes.scripted_model import ScriptedModel, calls, says
from tests.fakes.tool_server import tool_server

SECRET = "s3cr3t-credential"
BASE = "https://api.example.org"


@pytest.fixture
async def server():
    async with tool_server() as server:
        yield server


def settings(**given):
    return read_settings({"url": BASE, **given}, HttpSettings)


def made(arguments, credential="", **given):
    return build(settings(**given), arguments, credential)


def context():
    return CallContext(budget=Budget(RunLimits(), RunProgress(), clock=time.monotonic))


async def call(
    server, arguments=None, *, credential="", seconds=5.0, allow=("127.0.0.1",), **given
):
    given = {"url": server.url("/"), **given}
    tool = ToolSpec(
        name="t", kind="http", settings=given, credential=credential, timeout_seconds=seconds
    )
    box = KindToolbox([tool], {"http": HttpTools(server.egress(allow=allow))})
    return await box.call(tool, arguments or {}, context())


# What is sent


@pytest.mark.parametrize(
    ("given", "arguments", "url"),
    [
        ({"url": BASE + "/orders/{id}"}, {"id": 7}, BASE + "/orders/7"),
        ({"url": BASE + "/o/{id}"}, {"id": "a b/c?d#e&f"}, BASE + "/o/a%20b%2Fc%3Fd%23e%26f"),
        ({"url": BASE + "/o?x={id}"}, {"id": "a&y=1"}, BASE + "/o?x=a%26y%3D1"),
        ({"url": BASE + "/o"}, {"q": "ü", "n": True}, BASE + "/o?q=%C3%BC&n=true"),
        ({"url": BASE + "/o"}, {"tag": ["a", "b"]}, BASE + "/o?tag=a&tag=b"),
        ({"url": BASE + "/o", "query": {"q": "{text}"}}, {"text": "x"}, BASE + "/o?q=x"),
        ({"url": BASE + "/o", "query": {"q": "{text}"}}, {}, BASE + "/o"),
        ({"url": BASE + "/o", "query": {"v": "2"}}, {}, BASE + "/o?v=2"),
        ({"url": BASE + "/o#part"}, {"a": 1}, BASE + "/o?a=1"),
    ],
)
def test_arguments_fill_the_url(given, arguments, url):
    assert made(arguments, **given).url == url


def test_what_no_template_names_is_the_body():
    request = made({"id": 1, "name": "x", "tags": ["a"]}, url=BASE + "/o/{id}", method="POST")

    assert request.url == BASE + "/o/1"
    assert json.loads(request.body) == {"name": "x", "tags": ["a"]}
    assert request.headers["content-type"] == "application/json"


def test_a_form_is_one_if_asked_for():
    request = made({"a": "1 2", "b": ["x", "y"]}, method="POST", rest="form")

    assert request.body == b"a=1+2&b=x&b=y"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


def test_one_argument_may_be_the_whole_body():
    request = made({"body": [1, 2], "q": "x"}, method="POST", body_argument="body", rest="query")

    assert (request.body, request.url) == (b"[1,2]", BASE + "?q=x")


def test_headers_are_filled_and_missing_ones_left_out():
    request = made({"a": "1"}, headers={"X-A": "v{a}", "X-B": "{b}"})

    assert (request.headers["x-a"], "x-b" in request.headers) == ("v1", False)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({}, {"authorization": f"Bearer {SECRET}"}),
        ({"credential_header": "X-Api-Key", "credential_prefix": ""}, {"x-api-key": SECRET}),
    ],
)
def test_the_credential_is_a_header(given, value):
    assert value.items() <= made({}, SECRET, **given).headers.items()


@pytest.mark.parametrize("value", ["", ".", "..", "../admin", "a/../../b", "..\\admin"])
def test_an_argument_does_not_climb_in_the_path(value):
    with pytest.raises(WrongArguments, match="is not allowed in a path"):
        made({"id": value}, url=BASE + "/users/{id}/orders")


def test_a_placeholder_without_an_argument_is_told():
    with pytest.raises(WrongArguments, match="id: It is missing"):
        made({}, url=BASE + "/{id}")


@pytest.mark.parametrize("value", ["a\r\nx-admin: 1", "a\nb", "a\x00b"])
def test_an_argument_makes_no_lines_in_the_head(value):
    with pytest.raises(WrongArguments, match="control characters"):
        made({"a": value}, headers={"X-A": "{a}"})


def test_a_credential_with_a_line_break_is_not_sent_and_not_told():
    with pytest.raises(WrongSettings) as caught:
        made({}, SECRET + "\r\nx: y")

    assert SECRET not in str(caught.value)


@given(st.text())
def test_whatever_an_argument_is_the_host_stays(value):
    rules = rules_of(allow=[])
    try:
        request = made({"id": value, "q": value}, url=BASE + "/o/{id}?x={q}")
    except WrongArguments:
        return
    target = rules.target(request.url)
    assert target.host == "api.example.org"
    assert target.path.startswith("/o/")
    assert target.path.count("/") == 2


@pytest.mark.parametrize(
    "given",
    [
        {"url": "https://{host}/"},
        {"url": "https://api{id}.example.org/"},
        {"url": "https://api.example.org{path}"},
        {"url": "{url}"},
        {"url": "ftp://example.org/"},
        {"url": "example.org"},
        {"url": BASE + "/{}"},
        {"url": BASE + "/{a b}"},
        {"url": BASE + "/{a"},
        {"headers": {"Host": "x"}},
        {"headers": {"Content-Length": "1"}},
        {"headers": {"X Y": "1"}},
        {"headers": {"X-A": "a\r\nb"}},
        {"credential_header": "Transfer-Encoding"},
        {"credential_header": ""},
        {"content_type": "a\r\nb"},
        {"parameters": [{"argument": "a", "in": "path"}]},
        {"parameters": [{"argument": "a", "in": "header", "name": "Host"}]},
        {"parameters": [{"argument": "a", "in": "header", "name": "x y"}]},
        {"parameters": [{"argument": "a", "in": "cookie", "name": "a=b; c"}]},
        {"parameters": [{"argument": "a", "in": "query", "style": "matrix"}]},
        {"parameters": [{"argument": "a", "in": "query", "content": "image/png"}]},
        {"parameters": [{"argument": "a", "in": "form"}]},
        {"method": "POST", "parameters": [{"argument": "a", "in": "form"}]},
    ],
)
def test_settings_that_could_not_be_meant_are_refused(given):
    with pytest.raises(WrongSettings):
        ensure_http_settings(settings(**given))


@pytest.mark.parametrize(
    "given", [{"method": "TRACE"}, {"url": 5}, {"uri": BASE}, {"rest": "xml"}, {"query": []}]
)
def test_settings_of_another_shape_are_refused(given):
    with pytest.raises(WrongSettings):
        settings(**given)


# What comes back


async def test_a_request_is_made_and_its_answer_read(server):
    result = await call(server, {"q": "x"}, url=server.url("/search"))

    assert (result.text, result.is_error) == ('{"ok": true}', False)
    assert server.last[:2] == ("GET", "/search?q=x")


async def test_a_body_arrives_as_it_was_made(server):
    await call(server, {"name": "é"}, method="POST")

    method, _, headers, body = server.last
    assert (method, json.loads(body)) == ("POST", {"name": "é"})
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_request_without_a_body_has_no_content_type(server, method):
    await call(server, method=method, rest="query")

    _, _, headers, body = server.last
    assert (body, "Content-Type" in headers) == (b"", False)


STYLED = [
    {"argument": "ids", "in": "query", "style": "pipeDelimited"},
    {"argument": "filter", "in": "query", "style": "deepObject"},
    {"argument": "who", "in": "cookie", "name": "session"},
]


async def test_parameters_arrive_as_they_are_styled(server):
    arguments = {"ids": ["a", "b|c"], "filter": {"x": "1 2"}, "who": "me; admin=1"}

    await call(server, arguments, parameters=STYLED)

    assert server.query == {"ids": "a|b|c", "filter[x]": "1 2"}
    assert server.last[2]["Cookie"] == "session=me%3B%20admin%3D1"


@pytest.mark.parametrize("style", [{}, {"explode": False}, {"content": "text/plain"}], ids=str)
def test_an_argument_begins_no_other_cookie_whatever_is_allowed_there(style):
    cookie = {"argument": "who", "in": "cookie", "allow_reserved": True, **style}

    request = made({"who": "me;admin=1"}, parameters=[cookie])

    assert request.headers["cookie"] == "who=me%3Badmin%3D1"


ANSWERS = [
    (web.Response(status=404, text="no such order"), "HTTP 404. no such order", True),
    (web.Response(status=500), "HTTP 500.", True),
    (web.Response(status=204), "[HTTP 204, no content]", False),
    (web.Response(body=b"caf\xe9 \xff", content_type="text/plain"), "caf\ufffd \ufffd", False),
    (
        web.Response(body=b"caf\xe9", headers={"content-type": "text/plain; charset=latin-1"}),
        "café",
        False,
    ),
    (web.Response(body=b"a", headers={"content-type": "text/plain; charset=x"}), "a", False),
    (web.Response(body=b"\x89PNG", content_type="image/png"), "[4 bytes of image/png", False),
    (web.Response(body=b"{}", content_type="application/problem+json"), "{}", False),
]


@pytest.mark.parametrize(("answer", "text", "is_error"), ANSWERS)
async def test_what_the_model_reads_of_an_answer(server, answer, text, is_error):
    server.answers["/"] = answer

    result = await call(server)

    assert result.text.startswith(text)
    assert result.is_error is is_error


async def test_an_answer_beyond_all_measure_is_refused(server):
    server.answers["/"] = web.Response(body=b"x" * 5 * 1024 * 1024, content_type="text/plain")

    with pytest.raises(EgressFailed, match="too long"):
        await call(server)


@pytest.mark.parametrize(
    "url", ["/", "http://169.254.169.254/latest", "http://[::1]/", "http://0/"]
)
async def test_nothing_is_asked_inside(server, url):
    url = server.url(url, host="localhost") if url == "/" else url

    with pytest.raises(TargetRefused):
        await call(server, url=url, allow=())

    assert server.seen == []


async def test_a_redirect_inside_is_refused(server):
    server.answers["/"] = web.Response(
        status=302, headers={"location": "http://169.254.169.254/latest/meta-data"}
    )

    with pytest.raises(TargetRefused):
        await call(server)


async def test_a_credential_does_not_follow_a_redirect_to_another_host(server):
    away = server.url("/there", host="other.example")
    server.answers["/"] = web.Response(status=302, headers={"location": away})

    await call(server, credential=SECRET)

    assert ["Authorization" in headers or "authorization" in headers
            for _, _, headers, _ in server.seen] == [True, False]  # fmt: skip


async def echo(request):
    return web.json_response({"headers": dict(request.headers)})


async def test_a_credential_that_a_server_repeats_is_not_passed_on(server, caplog):
    server.answers["/"] = echo

    with caplog.at_level(logging.DEBUG):
        result = await call(server, credential=SECRET)

    assert SECRET not in result.text + caplog.text
    assert "[credential]" in result.text


def test_a_credential_is_not_in_what_a_tool_looks_like():
    assert SECRET not in repr(ToolSpec(name="t", kind="http", credential=SECRET))


# In the loop


def staged(server, *turns, seconds=5.0):
    """A stage with one tool, `fetch`, of the server's `/slow` or `/`."""
    play = Stage(ScriptedModel(*turns))
    tool = ToolSpec(
        name="fetch",
        kind="http",
        settings={"url": server.url("/{path}")},
        credential=SECRET,
        timeout_seconds=seconds,
    )
    box = KindToolbox([tool], {"http": HttpTools(server.egress())})
    box.specs = {"fetch": tool}
    play.tools = box
    return play


async def test_three_requests_are_open_at_once(server):
    all_open = asyncio.Barrier(3)

    async def meet(_):
        await all_open.wait()
        return web.Response(text="met")

    server.answers["/meet"] = meet
    play = staged(server, calls(*[("fetch", {"path": "meet"})] * 3), says("Done"))

    assert outputs(await play.run()) == ["met"] * 3


async def hang(request):
    await asyncio.Event().wait()


async def test_a_server_that_hangs_is_an_error_in_time(server):
    server.answers["/hang"] = hang
    play = staged(server, calls(("fetch", {"path": "hang"})), says("Sorry"), seconds=0.3)

    ended = await play.run()

    assert (ended.state, play.told(ToolEnded)[0].is_error) == ("completed", True)
    assert "too" in outputs(ended)[0] or "took longer" in outputs(ended)[0]


async def test_cancelling_hangs_up_on_the_server(server):
    server.answers["/hang"] = hang
    # The timeout of the call is beyond that of the test: only the cancellation can end it.
    play = staged(server, calls(("fetch", {"path": "hang"})), seconds=600)
    task = asyncio.create_task(play.run())
    while not server.seen:
        await asyncio.sleep(0.01)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    while not server.left:
        await asyncio.sleep(0.01)
    assert play.told(ToolStarted)


async def test_nothing_that_is_told_or_kept_holds_the_credential(server, caplog):
    server.answers["/echo"] = echo
    play = staged(server, calls(("fetch", {"path": "echo"})), says("Done"))

    with caplog.at_level(logging.DEBUG):
        ended = await play.run()

    kept = f"{ended} {play.facts} {play.saves} {play.model.asked} {caplog.text}"
    assert SECRET not in kept
    assert SECRET in str(server.last)
