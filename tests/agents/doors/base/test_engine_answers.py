"""Every case of `tests/cases/engine` at every door: the same answer, the same ledger row."""

import asyncio

import pytest

from tests.fakes.replay import events_of, replaying
from tests.fixtures.cast import serve
from tests.fixtures.engine_cases import engine_cases
from tests.fixtures.gateway import in_database, ledger
from tests.fixtures.runs.every_door import STREAMING, WHOLE

pytestmark = pytest.mark.slow

DOORS = {**WHOLE, **STREAMING}
ESTIMATE = (1, 10_000)
CASES_OF_A_TEST = 8
BUSY = 503
WITHOUT_TOOLS = {"chat", "chat_streamed"}
"""Doors at which clients have no functions of their own."""


@pytest.fixture
async def engine(transactional_db):
    async with replaying() as replay:
        await in_database(serve, replay.url, eject_after=1000)
        yield replay


def batches():
    """A gateway costs more than the questions to it: several cases share one."""
    cases = [case for case in engine_cases() if not case.right.get("pending")]
    parts = [
        cases[start : start + CASES_OF_A_TEST] for start in range(0, len(cases), CASES_OF_A_TEST)
    ]
    return [pytest.param(part, id=f"{part[0].name}..{part[-1].name}") for part in parts]


@pytest.mark.parametrize("cases", batches())
async def test_every_door_and_the_ledger_say_what_is_right(cases, gateway, acme, engine):
    wrong = []
    asked = 0
    await gateway.worker.follower.catch_up()  # the route is newer than the gateway
    for case in cases:
        play(engine, case)
        for name, ask in each_of(STREAMING if case.is_stream else WHOLE, case):
            seen = await answered(ask, gateway, acme, case.functions)
            asked += 1
            try:
                row = (await ledger(rows=asked, within=30))[-1]
            except AssertionError as none:
                raise AssertionError(f"{case.name} at {name} was answered {seen}: {none}") from None
            wrong += [f"{case.name} at {each}" for each in differences(case, name, seen, row)]

    assert wrong == []


async def answered(ask, *question):
    """On a busy machine a gateway may refuse by itself, and is asked again."""
    async with asyncio.timeout(60):
        while (seen := await ask(*question)).status == BUSY:
            await asyncio.sleep(0.2)
    return seen


def play(engine, case):
    engine.pause_seconds = 0.002
    if case.is_stream:
        engine.stream(*events_of(case.bytes))
    else:
        engine.whole(case.bytes)


def each_of(doors, case):
    skipped = {*case.right.get("skip", ()), *(WITHOUT_TOOLS if case.functions else ())}
    return [(name, ask) for name, ask in doors.items() if name not in skipped]


def differences(case, name, seen, row):
    """What a door or its row of the ledger says that is not right."""
    right = case.right
    expected = {"failure": bool(case.failures), **of_ledger(case, row)}
    found = {"failure": bool(seen.failure), **seen_in_ledger(case, row)}
    if case.failures:
        if "status" in right and name.startswith("chat_completions"):
            expected["status"], found["status"] = right["status"], seen.status
    else:
        expected |= of_answer(case, name, row)
        found |= {key: getattr(seen, key) for key in expected if hasattr(seen, key)}
        found["failure"] = bool(seen.failure)
    return [
        f"{name}: {key} is {found[key]!r}, not {value!r}"
        for key, value in expected.items()
        if found[key] != value and not (found[key] is None and key != "usage")
    ]


def of_answer(case, name, row):
    right = case.right
    text, refusal = right.get("text", ""), right.get("refusal", "")
    finish = right.get("finish", "stop")
    is_run = not name.startswith("chat_completions")
    return {
        "text": text + refusal if name in {"chat", "chat_streamed"} else text,
        "refusal": refusal,
        "reasoning": right.get("reasoning", ""),
        "calls": right.get("calls", []),
        # Runs tell only why an answer is not whole.
        "finish": None if is_run and finish in {"stop", "tool_calls"} else finish,
        "usage": tuple(right.get("usage") or (row.prompt_tokens, row.completion_tokens)),
        "cached": right.get("cached", 0),
        "reasoning_tokens": right.get("reasoning_tokens", 0),
    }


def of_ledger(case, row):
    right = case.right
    status = "failed" if case.failures else "completed"
    expected = {"row.status": status, "row.error_code": True, "row.estimated": "usage" not in right}
    if case.failures:
        del expected["row.estimated"]
    elif "usage" in right:
        expected["row.usage"] = [*right["usage"], right.get("cached", 0)]
    else:
        expected["row.estimate"] = True
    return expected


def seen_in_ledger(case, row):
    low, high = case.right.get("estimate", ESTIMATE)
    return {
        "row.status": row.status,
        "row.error_code": row.error_code in (case.failures or [""]),
        "row.estimated": row.estimated,
        "row.usage": [row.prompt_tokens, row.completion_tokens, row.cached_tokens],
        "row.estimate": low <= row.completion_tokens <= high,
    }


def test_every_door_is_asked():
    assert len(DOORS) == 7
