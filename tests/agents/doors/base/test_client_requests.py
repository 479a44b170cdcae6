"""Every case of `tests/cases/client` at its door: what the engine sees, what the client is told."""

import asyncio
import json

import pytest

from inference import services as inference
from inference.endpoints import manual as static_endpoints
from tests.agents.doors.websocket.test_socket import TERMINAL, socket
from tests.fakes.model_server import Behaviour, ModelServer, in_thread
from tests.fixtures.cast import serve
from tests.fixtures.client_cases import ENGINES, client_cases, is_within, resolved
from tests.fixtures.gateway import in_database

pytestmark = pytest.mark.slow

PATHS = {
    "chat_completions": "/v1/chat/completions",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
    "chat": "/v1/chat",
}
VECTORS = "vectors"
"""The route for embeddings."""
STREAMS = {"chat_completions", "responses", "chat"}
CASES_OF_A_TEST = 12
BUSY = 503


@pytest.fixture
async def engine(transactional_db):
    with in_thread(ModelServer(models=ENGINES)) as server:
        for kind in ENGINES:
            await in_database(serve, server.url, model=kind, engine=kind, eject_after=1000)
        await in_database(serve_vectors, server.url)
        yield server


def serve_vectors(address):
    pool = inference.create_pool(name=VECTORS, engine="vllm")
    static_endpoints.add_static_endpoint(pool=pool, address=address, model="vllm")
    inference.create_route(name=VECTORS, pool=pool, purpose="embeddings")


def batches():
    """A gateway costs more than the questions to it: several cases share one."""
    cases = client_cases()
    parts = [
        cases[start : start + CASES_OF_A_TEST] for start in range(0, len(cases), CASES_OF_A_TEST)
    ]
    return [pytest.param(part, id=f"{part[0].name}..{part[-1].name}") for part in parts]


@pytest.mark.parametrize("cases", batches())
async def test_the_engine_and_the_client_see_what_is_right(cases, gateway, acme, engine):
    wrong = []
    for case in cases:
        engine.behave(Behaviour(tokens=2, script=tuple(case.right.get("script", ()))))
        door = case.right["door"]
        for way, ask in ways_of(door).items():
            if way in case.right.get("skip", ()):
                continue
            before = [
                (await patiently(whole, gateway, acme, door, with_model(case, each)))[1]
                for each in case.right.get("before", ())
            ]
            body = resolved(with_model(case, case.body), before)
            seen_before = len(engine.records)
            status, answer = await patiently(ask, gateway, acme, door, body)
            records = list(engine.records)[seen_before:]
            problems = differences(case, status, answer, records, before)
            wrong += [f"{case.name} at {way}: {problem}" for problem in problems]

    assert not wrong, "\n".join(wrong)


def ways_of(door):
    """How its clients ask it."""
    ways = {door: whole}
    if door in STREAMS:
        ways[f"{door}_streamed"] = streamed
    if door == "responses":
        ways["socket"] = at_the_socket
    return ways


def with_model(case, body):
    match case.right["door"]:
        case "chat":
            return {"agent": case.engine, **body}
        case "embeddings":
            return {"model": VECTORS, **body}
    return {"model": case.engine, **body}


async def patiently(ask, *question):
    """On a busy machine a gateway may refuse by itself, and is asked again."""
    async with asyncio.timeout(60):
        while (seen := await ask(*question))[0] == BUSY:
            await asyncio.sleep(0.2)
    return seen


async def whole(gateway, member, door, body):
    answer = await gateway.post(member, PATHS[door], json=body)
    return answer.status, answer.json()


async def streamed(gateway, member, door, body):
    """The answer is that of the last event of a run; of other streams, the last chunk."""
    answer = await gateway.post(member, PATHS[door], json={"stream": True, **body})
    if answer.status != 200 or not answer.events:
        return answer.status, answer.json()
    last = json.loads([data for data in answer.events if data != "[DONE]"][-1])
    return answer.status, last["response"] if door == "responses" else last


async def at_the_socket(gateway, member, door, body):
    async with socket(gateway, member) as client:
        await client.say({"type": "response.create", **body})
        last = (await client.hear_until(*TERMINAL))[-1]
    if last["type"] == "error":
        return last["status"], {"error": last["error"]}
    return 200, last["response"]


def differences(case, status, answer, records, before):
    right = case.right
    if refused := right.get("refused"):
        return refusal_differences(refused, status, answer, records)
    if status != 200:
        return [f"it was answered {status}: {answer}"]
    if not records:
        return [f"the engine was not asked; the answer was {answer}"]
    seen = records[-1].body
    problems = [
        f"the engine saw {name} {seen.get(name)!r}, not {value!r}"
        for name, value in resolved(right.get("engine_sees", {}), before).items()
        if name not in seen or not same(value, seen[name])
    ]
    problems += [
        f"the engine saw {name} {seen[name]!r}"
        for name in right.get("engine_sees_no", ())
        if name in seen
    ]
    if not is_within(right.get("answer", {}), answer):
        problems.append(f"it was answered {answer}")
    return problems


def same(right, seen):
    return json.dumps(right, sort_keys=True) == json.dumps(seen, sort_keys=True)


def refusal_differences(refused, status, answer, records):
    if status != refused.get("status", 400):
        return [f"the status is {status}: {answer}"]
    error = answer.get("error", {})
    problems = [
        f"{name} is {error.get(name)!r}, not {refused[name]!r}: {error}"
        for name in ("code", "param")
        if name in refused and error.get(name) != refused[name]
    ]
    problems += [
        f"the message does not say {word!r}: {error.get('message')}"
        for word in refused.get("holds", ())
        if word not in error.get("message", "")
    ]
    if records:
        problems.append("the engine was asked")
    return problems
