"""Built-in tools: the time somewhere, and arithmetic that is never code."""

import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.runtime.catalog.agents import RunLimits
from agents.runtime.loop.ports import Budget, CallContext, RunProgress, ToolSpec
from agents.runtime.tools.builtin import BuiltinTools
from agents.runtime.tools.builtin_settings import BUILTINS
from agents.runtime.tools.calculator import WrongExpression, calculate
from agents.runtime.tools.toolbox import KindToolbox

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
CONTEXT = CallContext(budget=Budget(RunLimits(), RunProgress(), clock=time.monotonic))


async def call(function, **arguments):
    tool = ToolSpec(name="t", kind="builtin", settings={"function": function})
    box = KindToolbox([tool], {"builtin": BuiltinTools(now=lambda: NOON)})
    return await box.call(tool, arguments, CONTEXT)


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/Berlin", "2026-07-01T14:00:00+02:00 (Wednesday, Europe/Berlin)"),
        ("Asia/Kolkata", "2026-07-01T17:30:00+05:30 (Wednesday, Asia/Kolkata)"),
        ("Pacific/Auckland", "2026-07-02T00:00:00+12:00 (Thursday, Pacific/Auckland)"),
    ],
)
async def test_the_time_in_a_zone(zone, text):
    assert (await call("time", zone=zone)).text == text


async def test_without_a_zone_it_is_utc():
    assert (await call("time")).text.startswith("2026-07-01T12:00:00+00:00")


@pytest.mark.parametrize(
    "zone", ["Mars/Base", "", "../../etc/passwd", "/etc/passwd", "\x00", "a" * 5000]
)
async def test_a_zone_that_is_none_is_an_error(zone):
    result = await call("time", zone=zone)

    assert result.is_error
    assert "no time zone" in result.text
    assert len(result.text) < 200


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        *(("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("2 ** 10", 1024), ("2 ^ 10", 1024)),
        *(("7 // 2", 3), ("7 % 4", 3), ("-3 + +1", -2), ("1e3 / 4", 250.0), ("0.5", 0.5)),
        *(("sqrt(16)", 4.0), ("round(2.567, 2)", 2.57), ("max(1, 2, 3)", 3), ("floor(pi)", 3)),
        *((" 1 ", 1), ("1_000 * 2", 2000), ("2 ** -1", 0.5), ("abs(-4)", 4)),
    ],
)
def test_arithmetic(expression, value):
    assert calculate(expression) == value


BAD = [
    *("", "1 +", "x", "import os", "__import__('os')", "().__class__", "[1]", "1 if 1 else 2"),
    *("'a' * 9", "True", "1j", "lambda: 1", "open('x')", "print(1)", "1 < 2", "f'{1}'", "1 and 2"),
    *("abs(x=1)", "abs(*[1])", "sqrt", "(1).real", "a := 1", "1; 2", "1\n2", "\x00", "\ud800"),
    *("1 / 0", "1 % 0", "sqrt(-1)", "(-8) ** 0.5", "log(0)", "1e308 * 10", "1e999", "sqrt()"),
    *("9 ** 9 ** 9", "2 ** 100000", "10 ** 400 * 10 ** 400 * 10 ** 400 * 10 ** 400", "exp(1000)"),
    *("1" * 501, "(" * 250 + "1" + ")" * 249, "9.0 ** 9999", "round(1, 2, 3)"),
    *("1 << 9999999", "5 @ 5", "~5", "min(1)", "0 ** -1"),
]


@pytest.mark.parametrize("expression", BAD)
def test_what_is_no_arithmetic_or_too_much_is_refused(expression):
    started = time.thread_time()

    with pytest.raises(WrongExpression, match=r"\w"):
        calculate(expression)

    assert time.thread_time() - started < 0.5


@pytest.mark.parametrize("expression", ["(" * 200 + "1" + ")" * 200, "-" * 498 + "1"])
def test_deep_nesting_does_no_harm(expression):
    with suppress(WrongExpression):
        assert calculate(expression) == 1


@given(st.text(alphabet="0123456789+-*/%^(). e", max_size=60))
def test_any_arithmetic_is_a_bounded_number_or_refused(expression):
    try:
        value = calculate(expression)
    except WrongExpression:
        return
    assert isinstance(value, int | float)
    assert len(str(value)) < 1300


@given(st.text(max_size=80))
def test_any_text_is_a_number_or_refused(text):
    try:
        value = calculate(text)
    except WrongExpression:
        return
    assert isinstance(value, int | float)


async def test_the_calculator_tells_its_errors():
    result = await call("calculator", expression="1 / 0")

    assert (result.text, result.is_error) == ("Division by zero.", True)
    assert (await call("calculator", expression="6 * 7")).text == "42"


async def test_a_function_that_is_not_built_in_is_an_error():
    result = await call("shell")

    assert result.is_error
    assert "function" in result.text


def test_every_built_in_says_what_it_takes():
    assert set(BUILTINS) == {"time", "calculator", "send_message", "publish", "ask_agent"}
    assert all(each.schema["additionalProperties"] is False for each in BUILTINS.values())
