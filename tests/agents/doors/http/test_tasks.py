"""`/v1/tasks`: submitted once, done by a capable agent, and closed to other tenants."""

import asyncio
import time

import pytest
from django.utils import timezone

from agents import services
from agents.models import Run, Task
from agents.runs.queue import expire_queued
from tenants import services as tenants
from tenants.models import ApiKey
from tests.fakes.model_server import Behaviour
from tests.fixtures.cast import Member, hire, issue
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.nodes import announce_node, running_node, sees_nodes

PATH = "/v1/tasks"
SCHEMAS = {
    "ocr": {
        "input": {"type": "object", "required": ["image"]},
        "output": {"type": "object", "required": ["text"]},
    }
}
numbers = iter(range(10**6))


@pytest.fixture
def agents(acme, tiny):
    return [
        hire(acme.tenant, tiny, slug="german", capabilities=["translate.de-en", "summarize"]),
        hire(acme.tenant, tiny, slug="eyes", capabilities=["ocr"], capability_schemas=SCHEMAS),
    ]


def task(*required, **members):
    body = {"input": "Guten Tag", "idempotency_key": f"key-{next(numbers)}"}
    return {**body, "required_capabilities": required or ("translate.de-en",), **members}


async def submit(gateway, member, *required, **members):
    answer = await gateway.post(member, PATH, json=task(*required, **members))
    assert answer.status == 202, answer.body
    return answer.json()


async def ended(gateway, member, made):
    while True:
        now = (await gateway.get(member, f"{PATH}/{made['id']}")).json()
        if now["state"] not in {"queued", "running"}:
            return now
        await asyncio.sleep(0.02)


@pytest.mark.usefixtures("agents")
async def test_a_task_is_done_by_the_agent_that_is_able_to(gateway, acme, engine):
    made = await submit(gateway, acme, metadata={"topic": "demo"}, priority=5)
    done = await ended(gateway, acme, made)

    assert (made["object"], made["agent"], made["priority"]) == ("task", "german", 5)
    assert done["state"] == "completed"
    assert done["output_text"] == done["output"][-1]["content"][0]["text"]
    assert done["usage"]["total_tokens"] > 0
    assert (done["input"], done["metadata"]) == ("Guten Tag", {"topic": "demo"})
    assert done["created_at"] <= done["started_at"] <= done["completed_at"]
    codes = {each["agent"]: each["code"] for each in done["explanation"]["candidates"]}
    assert codes == {"german": "chosen", "eyes": "lacks_capability"}
    response = await gateway.get(acme, f"/v1/responses/{done['response_id']}")
    assert response.json()["output"] == done["output"]


@pytest.mark.usefixtures("agents")
async def test_the_output_schema_of_the_capability_is_the_format_of_the_run(gateway, acme):
    made = await submit(gateway, acme, "ocr", input={"image": "data:image/png;base64,AAAA"})

    response = (await gateway.get(acme, f"/v1/responses/{made['response_id']}")).json()

    assert response["text"]["format"]["schema"] == SCHEMAS["ocr"]["output"]
    assert response["text"]["format"]["name"] == "ocr"


@pytest.mark.usefixtures("agents")
async def test_a_repeated_task_is_the_same_one_and_another_request_is_a_mismatch(gateway, acme):
    body = task()
    first = await gateway.post(acme, PATH, json=body)
    again = await gateway.post(acme, PATH, json=body)
    other = await gateway.post(acme, PATH, json={**body, "priority": 1})

    assert (first.status, again.status, other.status) == (202, 200, 409)
    assert again.json()["id"] == first.json()["id"]
    assert other.error["code"] == "idempotency_mismatch"
    assert await in_database(Task.objects.count) == 1
    assert await in_database(Run.objects.count) == 1


@pytest.mark.usefixtures("agents")
async def test_requests_at_the_same_moment_with_one_key_make_one_task(gateway, acme):
    body = task()

    answers = await asyncio.gather(*(gateway.post(acme, PATH, json=body) for _ in range(8)))

    assert {each.status for each in answers} <= {200, 202}
    assert len({each.json()["id"] for each in answers}) == 1
    assert await in_database(Run.objects.count) == 1


@pytest.mark.usefixtures("agents")
async def test_a_rotated_key_repeats_the_task_of_the_key_before(gateway, acme):
    body = task()
    first = await gateway.post(acme, PATH, json=body)
    renewed = await in_database(rotated, acme)

    again = await gateway.post(renewed, PATH, json=body)

    assert (again.status, again.json()["id"]) == (200, first.json()["id"])


def rotated(member):
    key = ApiKey.objects.get(name="test")
    issued = tenants.rotate_key(key=key, now=timezone.now())
    return Member(tenant=member.tenant, key=issued.secret)


async def test_another_tenant_sees_nothing_of_a_task(gateway, acme, rival, agents):
    made = await submit(gateway, acme)
    place = f"{PATH}/{made['id']}"

    answers = [
        await gateway.get(rival, place),
        await gateway.get(rival, f"{place}/events"),
        await gateway.ask("DELETE", rival, place),
        await gateway.get(rival, f"{PATH}/task_{'0' * 30}"),
        await gateway.get(rival, f"{PATH}/nothing"),
    ]

    assert {each.status for each in answers} == {404}
    assert len({str(each.error) for each in answers}) == 1
    assert (await gateway.get(rival, PATH)).json()["data"] == []


@pytest.mark.usefixtures("agents")
async def test_tasks_are_listed_page_by_page_without_their_texts(gateway, acme):
    made = [(await submit(gateway, acme))["id"] for _ in range(3)]

    first = (await gateway.get(acme, PATH, params={"limit": 2})).json()
    rest = (await gateway.get(acme, PATH, params={"after": first["last_id"]})).json()

    assert [each["id"] for each in (*first["data"], *rest["data"])] == made[::-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert not {"input", "output", "output_text"} & set(first["data"][0])


@pytest.mark.usefixtures("agents")
async def test_the_events_of_a_task_are_those_of_its_response_and_resumable(gateway, acme):
    made = await submit(gateway, acme)
    place = f"{PATH}/{made['id']}/events"

    whole = (await gateway.get(acme, place)).body
    rest = (await gateway.get(acme, place, params={"starting_after": 2})).body

    assert whole.count(b"event: response.completed") == 1
    assert b"event: response.created" in whole
    assert whole.endswith(rest)
    assert b"event: response.created" not in rest


@pytest.mark.usefixtures("agents")
async def test_a_cancelled_task_ends_and_stays_as_it_is(gateway, acme, engine):
    engine.behave(Behaviour(tokens=10_000, token_seconds=0.05))
    made = await submit(gateway, acme)

    gone = await gateway.ask("DELETE", acme, f"{PATH}/{made['id']}")
    again = await gateway.ask("DELETE", acme, f"{PATH}/{made['id']}")

    assert gone.json()["state"] == again.json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"required_capabilities": []}, (400, "missing_parameter", "required_capabilities")),
        ({"required_capabilities": ["No"]}, (400, "invalid_parameter", "required_capabilities[0]")),
        ({"required_capabilities": ["chess"]}, (404, "no_capable_agent", "required_capabilities")),
        ({"required_capabilities": "ocr"}, (400, "invalid_parameter", "required_capabilities")),
        ({"agent": "nobody"}, (404, "model_not_found", "agent")),
        ({"agent": "eyes"}, (404, "no_capable_agent", "required_capabilities")),
        ({"priority": 101}, (400, "invalid_parameter", "priority")),
        ({"deadline": 1}, (400, "invalid_parameter", "deadline")),
        ({"deadline": 10**18}, (400, "invalid_parameter", "deadline")),
        ({"deadline": "2020-01-01T00:00:00Z"}, (400, "invalid_parameter", "deadline")),
        ({"deadline": "2099-01-01T00:00:00"}, (400, "invalid_parameter", "deadline")),
        ({"idempotency_key": ""}, (400, "invalid_parameter", "idempotency_key")),
        ({"idempotency_key": None}, (400, "missing_parameter", "idempotency_key")),
        ({"callback": "https://hooks.example/x"}, (400, "invalid_parameter", "callback")),
        ({"strategy": "random"}, (400, "unsupported_parameter", "strategy")),
        ({"input": 7}, (400, "invalid_parameter", "input")),
        ({"input": "x" * 600_000}, (413, "body_too_large", None)),
        ({"required_capabilities": ["ocr"]}, (400, "invalid_parameter", "input")),
    ],
)
@pytest.mark.usefixtures("agents")
async def test_a_task_that_is_not_valid_is_refused_and_leaves_nothing(
    gateway, acme, members, expected
):
    answer = await gateway.post(acme, PATH, json=task(**members))

    assert (answer.status, answer.error["code"], answer.error["param"]) == expected
    assert await in_database(Task.objects.count) == 0


@pytest.mark.usefixtures("agents")
async def test_a_task_that_nobody_can_do_names_near_agents(gateway, acme):
    answer = await gateway.post(acme, PATH, json=task("translate.de-fr"))

    assert "german (translate.de-en)" in answer.error["message"]


async def test_a_paused_agent_is_left_out_and_refused_by_name(gateway, acme, agents):
    await in_database(services.pause_agent, agent=agents[0])
    while (await gateway.get(acme, "/v1/models/german")).status == 200:
        pass

    left_out = await gateway.post(acme, PATH, json=task())
    by_name = await gateway.post(acme, PATH, json=task(agent="german"))

    assert left_out.error["code"] == "no_capable_agent"
    assert "german: is paused" in left_out.error["message"]
    assert by_name.error["code"] == "agent_paused"


@pytest.mark.usefixtures("agents")
async def test_a_key_learns_nothing_of_agents_that_it_may_not_use(gateway, acme):
    limited = await in_database(issue, acme.tenant, allowed_models=["eyes"])

    refused = await gateway.post(limited, PATH, json=task())
    hidden = await gateway.post(limited, PATH, json=task(agent="german"))
    made = await submit(gateway, limited, "ocr", input={"image": "x"})

    assert refused.error["code"] == "no_capable_agent"
    assert "german" not in refused.error["message"]
    assert hidden.error["code"] == "model_not_found"
    assert "german" not in str(made["explanation"])


async def test_an_agent_that_no_node_may_execute_is_left_out(gateway, acme, agents):
    await in_database(services.deploy_agent, agent=agents[0], placement={"zone": "mars"})

    deadline = time.monotonic() + 30
    while (answer := await gateway.post(acme, PATH, json=task())).status == 202:
        assert time.monotonic() < deadline

    assert answer.error["code"] == "no_capable_agent"
    assert "no agent nodes" in answer.error["message"]


@pytest.mark.usefixtures("agents")
async def test_a_node_executes_a_task_and_is_named(gateway, acme):
    async with running_node() as node:
        await sees_nodes(gateway)
        done = await ended(gateway, acme, await submit(gateway, acme))

    assert (done["state"], done["attempts"]) == ("completed", 1)
    assert done["node"] == node.registration.announced.name


@pytest.mark.usefixtures("agents")
async def test_queued_tasks_are_executed_by_priority(gateway, acme):
    await announce_node(gateway)
    made = [await submit(gateway, acme, priority=priority) for priority in (-1, 0, 7)]
    store, worker = gateway.worker.run_dependencies.store, gateway.worker.workers.name

    claimed = await store.claim_queued(worker, limit=2, excluded=())

    assert {each["state"] for each in made} == {"queued"}
    assert {run.id for run in claimed} == {each["response_id"] for each in made[1:]}


@pytest.mark.usefixtures("agents")
async def test_a_task_whose_deadline_passes_in_the_queue_is_expired(gateway, acme):
    await announce_node(gateway)
    made = await submit(gateway, acme, deadline=int(time.time()) + 2)

    deadline = time.monotonic() + 30
    while not await in_database(expire_queued):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)

    gone = (await gateway.get(acme, f"{PATH}/{made['id']}")).json()
    assert (gone["state"], gone["error"]["code"]) == ("expired", "expired")


@pytest.mark.usefixtures("agents")
async def test_a_task_beyond_the_queue_is_refused_and_leaves_nothing(gateway, acme):
    await announce_node(gateway)
    object.__setattr__(gateway.worker.run_dependencies, "max_queued_runs", 1)
    await submit(gateway, acme)
    body = task()

    refused = await gateway.post(acme, PATH, json=body)
    object.__setattr__(gateway.worker.run_dependencies, "max_queued_runs", 2)
    again = await gateway.post(acme, PATH, json=body)

    assert (refused.status, refused.error["code"]) == (429, "queue_full")
    assert "retry-after" in refused.headers
    assert again.status == 202
    assert await in_database(Task.objects.count) == 2


@pytest.mark.usefixtures("agents")
async def test_a_queued_task_is_cancelled_at_once(gateway, acme):
    await announce_node(gateway)
    made = await submit(gateway, acme)

    gone = await gateway.ask("DELETE", acme, f"{PATH}/{made['id']}")

    assert gone.json()["state"] == "cancelled"


async def test_a_paused_agent_finishes_the_tasks_that_it_has(gateway, acme, agents):
    await announce_node(gateway)
    made = await submit(gateway, acme)
    await in_database(services.pause_agent, agent=agents[0])

    async with running_node():
        done = await ended(gateway, acme, made)

    assert done["state"] == "completed"


@pytest.mark.parametrize("lost", ["link", "run"])
@pytest.mark.usefixtures("agents")
async def test_a_repeat_continues_where_a_gateway_died(gateway, acme, lost):
    await announce_node(gateway)
    body = task()
    made = (await gateway.post(acme, PATH, json=body)).json()
    await in_database(Task.objects.update, run=None)
    if lost == "run":
        await in_database(lambda: Run.objects.all().delete())
    hidden = await gateway.get(acme, f"{PATH}/{made['id']}")

    again = await gateway.post(acme, PATH, json=body)

    assert hidden.status == 404
    assert (again.status, again.json()["id"]) == (202, made["id"])
    assert (again.json()["response_id"] == made["response_id"]) == (lost == "link")
    assert await in_database(Run.objects.count) == 1


@pytest.mark.usefixtures("agents")
async def test_outcomes_of_tasks_are_counted(gateway, acme):
    def count(text, outcome):
        name = f'tenantry_tasks_total{{outcome="{outcome}"}} '
        lines = [line for line in text.splitlines() if line.startswith(name)]
        return float(lines[0].removeprefix(name)) if lines else 0.0

    async def counts():
        text = (await gateway.get(None, "/metrics")).body.decode()
        return [count(text, each) for each in ("accepted", "repeated", "no_capable_agent")]

    before = await counts()
    body = task()
    for sent in (body, body, task("chess")):
        await gateway.post(acme, PATH, json=sent)

    assert [now - then for now, then in zip(await counts(), before, strict=True)] == [1, 1, 1]


@pytest.mark.usefixtures("tiny")
async def test_a_rotated_key_joins_the_response_of_the_key_before(gateway, acme):
    body = {"model": "tiny", "input": "hi", "background": True, "client_id": "one"}
    first = await gateway.post(acme, "/v1/responses", json=body)
    renewed = await in_database(rotated, acme)

    again = await gateway.post(renewed, "/v1/responses", json=body)

    assert again.json()["id"] == first.json()["id"]
    assert await in_database(Run.objects.count) == 1
