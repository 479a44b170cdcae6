"""Every case of `tests/cases/engine` at every door: the same answer, the same ledger row."""

import pytest

from tests.fakes.replay import events_of, replaying
from tests.fixtures.cast import serve
from tests.fixtures.engine_cases import engine_cases
from tests.fixtures.every_door import STREAMING, WHOLE
from tests.fixtures.gateway import in_database, ledger

DOORS = {**WHOLE, **STREAMING}
ESTIMATE = (1, 10_000)


@pytest.fixture
async def engine(transactional_db):
    async with replaying() as replay:
        await in_database(serve, replay.url, eject_after=1000)
        yield replay


def parameter(case):
    pending = case.right.get("pending")
    marks = [pytest.mark.xfail(reason=pending, strict=False)] if pending else []
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", list(map(parameter, engine_cases())))
async def test_every_door_and_the_ledger_say_what_is_right(case, gateway, acme, engine):
    engine.pause_seconds = 0.002
    if case.is_stream:
        engine.stream(*events_of(case.bytes))
    else:
        engine.whole(case.bytes)
    doors = STREAMING if case.is_stream else WHOLE

    for number, (name, ask) in enumerate(each_of(doors, case), start=1):
        seen = await ask(gateway, acme, case.functions)
        row = (await ledger(rows=number, within=30))[-1]
        assert differences(case, name, seen, row) == []


def each_of(doors, case):
    return [(name, ask) for name, ask in doors.items() if name not in case.right.get("skip", ())]


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
