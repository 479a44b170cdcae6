"""Three agent nodes with 200 tasks of two tenants, and a fault in the middle of the work.

Gateway and nodes are processes on the tests' PostgreSQL, which they reach through a proxy, and
Valkey. Every task ends once, every call of the model is billed once, and no tool is called twice
that must not be.
"""

import asyncio
import json
from collections import Counter
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from agents.models import Agent, Approval, Run, Task, Tool
from agents.services import create_agent, publish, save_draft
from agents.tool_library.store import save_tool
from kernel.storage.redis import connect
from tenants.limits import services as limit_services
from tenants.models import Quota, UsageEvent
from tenants.scoping import every_tenant
from tenants.tasks import bill_abandoned_requests
from tests.agents.proofs.test_killed_workers import expire_every_hold
from tests.fakes.model_server import Behaviour, ModelServer, in_thread
from tests.fakes.tool_server import tool_server
from tests.fixtures.cast import Member, serve
from tests.fixtures.database.books import assert_balance
from tests.fixtures.gateway import in_database
from tests.fixtures.nodes import node_token
from tests.fixtures.servers import processes
from tests.fixtures.servers.cut_line import CutLine, cut_line
from tests.fixtures.servers.processes import GatewayProcess, gateway_process, node_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NODES = 3
SLOTS = 12
TASKS = 200
CLIENTS = 8
FAULT_AFTER = 40
AWAY_SECONDS = 20
CLAIMS_CUT = NODES * SLOTS // 2
MODEL = Behaviour(
    script=([{"name": "book", "arguments": {"task": "$input"}}], "It has been booked for you now."),
    token_seconds=0.03,
)


@dataclass(kw_only=True)
class Cluster:
    gateway: GatewayProcess
    nodes: list[GatewayProcess]
    database: CutLine
    engine: ModelServer
    members: list[Member]
    calls: Counter[str] = field(default_factory=Counter)
    """How often the tool was called, by task."""

    async def submit(self, names: "asyncio.Queue[str]", session: aiohttp.ClientSession) -> None:
        """Send tasks until none is left, each again until it is accepted."""
        while not names.empty():
            name = names.get_nowait()
            while not await self.is_accepted(name, session):
                await asyncio.sleep(0.2)

    async def is_accepted(self, name: str, session: aiohttp.ClientSession) -> bool:
        body = {"required_capabilities": ["book"], "input": name, "idempotency_key": name}
        member = self.members[int(name.rpartition("-")[2]) % len(self.members)]
        url = f"{self.gateway.url}/v1/tasks"
        async with session.post(url, json=body, headers=member.bearer) as answer:
            assert answer.status in {200, 202, 503}, await answer.text()
            # 200: accepted with an earlier attempt, whose answer was an error.
            return answer.status != 503


def employ(member: Member, route: Any, url: str, *, is_idempotent: bool) -> None:
    """`booker`, who books by an HTTP request."""
    tool = Tool(
        tenant=member.tenant,
        name="book",
        description="Books.",
        kind="http",
        settings={"url": url, "method": "POST"},
        schema={"type": "object", "properties": {"task": {"type": "string"}}},
        is_idempotent=is_idempotent,
    )
    save_tool(tool=tool)
    agent = create_agent(tenant=member.tenant, route=route, slug="booker", name="Booker")
    agent.tools = ["book"]
    save_draft(agent=agent)
    publish(agent=agent)
    with every_tenant():
        Agent.objects.filter(pk=agent.pk).update(capabilities=["book"])
    budget = Quota(tenant=member.tenant, unit="tokens", limit=10**9, period="day")
    limit_services.save_quota(rule=budget, now=timezone.now())


@asynccontextmanager
async def running_cluster(folder: Path, members: list[Member]):
    """A gateway and three nodes; acme's tool must not be called twice, rival's may."""
    with ExitStack() as stack:
        engine = stack.enter_context(in_thread(ModelServer(behaviour=MODEL)))
        line, url = stack.enter_context(cut_line(processes.test_database_url()))
        async with tool_server() as tools:
            route = await in_database(serve, engine.url)
            address = tools.url("/book", host="127.0.0.1")
            with override_settings(
                EGRESS_ALLOW=("127.0.0.1",), EGRESS_HTTP=True, EGRESS_PORTS=(tools.port,)
            ):
                for number, member in enumerate(members):
                    await in_database(employ, member, route, address, is_idempotent=number == 1)
            _, token = await in_database(node_token)
            common = {
                "database_url": url,
                "TENANTRY_NODE_TOKEN": token,
                "TENANTRY_NODE_SLOTS": str(SLOTS),
                "TENANTRY_EGRESS_ALLOW": "127.0.0.1",
                "TENANTRY_EGRESS_PORTS": str(tools.port),
                "TENANTRY_EGRESS_HTTP": "true",
            }
            nodes = [
                stack.enter_context(node_process(folder / f"node-{number}", **common))
                for number in range(NODES)
            ]
            gateway = stack.enter_context(gateway_process(folder / "gateway", **common))
            cluster = Cluster(
                gateway=gateway,
                nodes=nodes,
                database=line,
                engine=engine,
                members=members,
            )

            async def book(request):
                cluster.calls[json.loads(await request.read())["task"]] += 1
                return web.json_response({"booked": True})

            tools.answers["/book"] = book
            yield cluster


async def kill_node(cluster: Cluster) -> None:
    cluster.nodes[0].kill()


async def freeze_node(cluster: Cluster) -> None:
    """Until others have continued its runs. Then it wakes, and must change nothing."""
    cluster.nodes[0].stop()
    await asyncio.sleep(AWAY_SECONDS)
    cluster.nodes[0].go_on()


async def empty_redis(cluster: Cluster) -> None:
    def flush() -> None:
        with connect(settings.REDIS_URL) as client:
            client.flushall()

    await in_database(flush)


async def cut_database(cluster: Cluster) -> None:
    cluster.database.away()
    await asyncio.sleep(AWAY_SECONDS)
    cluster.database.back()


FAULTS = (kill_node, freeze_node, empty_redis, cut_database)


def states() -> Counter[str]:
    with every_tenant():
        return Counter(Task.objects.exclude(run=None).values_list("run__state", flat=True))


async def until(condition, *, within: float = 120.0) -> None:
    async with asyncio.timeout(within):
        while not await in_database(condition):
            await asyncio.sleep(0.2)


async def deny_all(cluster: Cluster, session: aiohttp.ClientSession) -> None:
    """Answer what people are asked about calls that a lost node may have executed."""

    def waiting() -> list[tuple[int, str, str]]:
        with every_tenant():
            rows = Approval.objects.filter(state="pending").select_related("run")
            return [(row.tenant_id, row.run.public_id, row.public_id) for row in rows]

    owners = {member.tenant.pk: member for member in cluster.members}
    for tenant_id, run_id, approval in await in_database(waiting):
        url = f"{cluster.gateway.url}/v1/responses/{run_id}/approvals/{approval}"
        headers = owners[tenant_id].bearer
        async with session.post(url, json={"approve": False}, headers=headers) as answer:
            assert answer.status == 200, await answer.text()


def ends_in_redis() -> Counter[int]:
    """How many runs have so many terminal events in their log."""
    with every_tenant():
        runs = list(Run.objects.values_list("public_id", flat=True))
    with connect(settings.REDIS_URL) as client:
        return Counter(
            len(client.xrange(f"tenantry:run:{run_id}:events", min="2-0")) for run_id in runs
        )


def count_continued() -> int:
    """How many runs were claimed more than once."""
    with every_tenant():
        return Run.objects.filter(attempt__gt=1).count()


def assert_billed_once(cluster: Cluster, *, is_node_lost: bool) -> None:
    """Every call of the model is one request of the ledger, with the engine's own count.

    What a lost node was being sent is billed as far as the node had read it: not more than was
    sent.
    """
    events = list(UsageEvent.objects.all())
    calls = list(cluster.engine.records)
    # A node may be killed after a call is admitted and before the engine gets it.
    unsent = len({event.request_id for event in events}) - len(calls)
    assert 0 <= unsent <= (SLOTS if is_node_lost else 0)
    finals = [event.request_id for event in events if event.kind == "final"]
    assert len(finals) == len(set(finals))
    sizes = [call.prompt_tokens + call.tokens_produced for call in calls]
    billed = sum(event.prompt_tokens + event.completion_tokens for event in events)
    assert 0 <= sum(sizes) - billed <= (SLOTS * max(sizes) if is_node_lost else 0)


def assert_called_once(cluster: Cluster) -> None:
    """A completed task of acme's has called its tool exactly once, one of rival's at least once."""
    with every_tenant():
        ended = list(
            Task.objects.filter(run__state="completed").values_list(
                "idempotency_key", "tenant__slug", "run__public_id"
            )
        )
        asked = set(Approval.objects.values_list("run__public_id", flat=True))
    for name, tenant, run_id in ended:
        if tenant == "acme":
            assert cluster.calls[name] <= 1, name
        if run_id not in asked:
            assert cluster.calls[name] >= 1, name


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_every_task_ends_once(tmp_path, acme, rival, fault):
    async with (
        running_cluster(tmp_path, [acme, rival]) as cluster,
        aiohttp.ClientSession() as session,
    ):
        names: asyncio.Queue[str] = asyncio.Queue()
        for number in range(TASKS):
            names.put_nowait(f"task-{number}")
        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(cluster.submit(names, session))
            await until(lambda: states()["completed"] >= FAULT_AFTER)
            await fault(cluster)
        active = ("queued", "in_progress")
        await until(
            lambda: states().total() == TASKS and not any(states()[each] for each in active)
        )
        await deny_all(cluster, session)
        await until(lambda: states() == {"completed": TASKS})

        ends = await in_database(ends_in_redis)
        # Readers of a log whose end was lost with the node or with Redis get it from the table.
        assert set(ends) <= {0, 1}, ends
        assert await in_database(Run.objects.count) == TASKS
        is_node_lost = fault in {kill_node, freeze_node}
        again = await in_database(count_continued)
        # PostgreSQL may have accepted claims whose answers did not arrive before it was away.
        assert again > 0 if is_node_lost else again <= (CLAIMS_CUT if fault is cut_database else 0)
        await in_database(assert_called_once, cluster)
    for member in (acme, rival):
        await in_database(expire_every_hold, settings.REDIS_LIMITS_URL, member.tenant.pk)
    await in_database(bill_abandoned_requests)
    await in_database(partial(assert_billed_once, cluster, is_node_lost=is_node_lost))
    for member in (acme, rival):
        await in_database(assert_balance, member.tenant.pk)
