"""The log lines of real processes: JSON that names the process, and none while nothing happens."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from django.conf import settings

from agents.nodes.tokens import issue_node_token
from inference import services
from inference.endpoints.manual import add_static_endpoint
from inference.models import ModelEndpoint
from tests.fakes.model_server import Behaviour, Fault, ModelServer
from tests.fixtures.cast import add_endpoint, serve
from tests.fixtures.gateway import in_database
from tests.fixtures.servers import processes
from tests.fixtures.servers.processes import CHECKOUT, gateway_process, node_process
from tests.fixtures.servers.timed_work import timed_work

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

BODY = {"model": "tiny", "messages": [{"role": "user", "content": "a secret wish"}]}
LINES_AT_THE_START = 5
REQUESTS = 4


def access_lines(home: Path) -> list[dict]:
    return [each for each in lines(home / "log") if each["logger"] == "tenantry.access"]


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_node_and_the_console_name_themselves(tmp_path):
    _, token = issue_node_token(name="rack 1")
    with node_process(tmp_path, TENANTRY_NODE_TOKEN=token, TENANTRY_LOG_LEVEL="INFO"):
        written = lines(tmp_path / "log")
    ready = [each for each in written if each["message"] == "Application startup complete."]
    assert {each["plane"] for each in written} == {"node"}
    assert ready[0]["worker"]

    program = "import django, logging; django.setup(); logging.getLogger('x').warning('y')"
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings.console",
        "POD_NAME": "console-1",
    }
    path = os.pathsep.join((str(CHECKOUT), str(CHECKOUT / "platform")))
    console = subprocess.run(
        [sys.executable, "-c", program],
        env={**env, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    line = json.loads(console.stderr)
    assert (line["plane"], line["pod"], line["message"]) == ("console", "console-1", "y")


def test_idle_celery_processes_write_nothing_after_their_start(tmp_path):
    pool = services.create_pool(name="small", engine="vllm")
    add_static_endpoint(pool=pool, address="http://127.0.0.1:9", model="tiny")
    env = {
        "DATABASE_URL": processes.test_database_url(),
        "REDIS_URL": settings.REDIS_URL,
        "TENANTRY_LOG_LEVEL": "INFO",
        "POD_NAME": "worker-7f",
        "PYTHONWARNINGS": "ignore",  # Celery warns of root, which a container does not use
    }
    with timed_work(tmp_path, env):
        # Several periodic tasks were sent, received and executed.
        while ModelEndpoint.objects.filter(probe_streak__gte=-1).exists():
            time.sleep(0.1)

    written = lines(tmp_path / "worker")
    assert 0 < len(written) <= LINES_AT_THE_START
    assert {(each["plane"], each["pod"]) for each in written} == {("celery", "worker-7f")}
    assert all(each["worker"].startswith("celery@") for each in written)
    assert lines(tmp_path / "beat") == []


async def test_a_gateway_writes_one_access_line_per_request_if_it_should(tmp_path, acme):
    how = {"TENANTRY_ACCESS_LOG": "true", "POD_NAME": "gateway-1"}
    async with ModelServer() as engine, aiohttp.ClientSession() as session:
        await in_database(serve, engine.url)
        with gateway_process(tmp_path, **how) as gateway:
            url = f"{gateway.url}/v1/chat/completions"
            for body in (BODY, {**BODY, "stream": True}, {**BODY, "model": "%s\n{}"}):
                async with session.post(url, json=body, headers=acme.bearer) as answer:
                    await answer.read()
            async with session.request("PROPFIND", f"{gateway.url}/{'x' * 50}") as answer:
                assert answer.status == 404
            # A line is written after its answer is sent.
            while len(written := access_lines(tmp_path)) < REQUESTS:
                await asyncio.sleep(0.05)

    shown = ("method", "door", "status", "tenant")
    assert [tuple(each.get(name) for name in shown) for each in written] == [
        ("POST", "chat_completions", 200, acme.tenant.slug),
        ("POST", "chat_completions", 200, acme.tenant.slug),
        ("POST", "chat_completions", 404, acme.tenant.slug),
        ("other", "unknown", 404, None),
    ]
    assert {(each["plane"], each["pod"]) for each in written} == {("gateway", "gateway-1")}
    assert all(each["worker"] and each["request_id"] for each in written)
    assert all(each["message"].startswith("gateway: request (method=") for each in written)
    assert not [word for word in ("secret wish", "PROPFIND", "xxxx") if word in str(written)]


async def test_a_gateway_writes_no_access_lines_by_default_and_names_the_run_of_a_failure(
    tmp_path, acme
):
    dies = Behaviour(tokens=5, fault=Fault.DIES_AFTER, after_chunks=1)
    async with (
        ModelServer(behaviour=dies) as one,
        ModelServer(behaviour=dies) as two,
        aiohttp.ClientSession() as session,
    ):
        route = await in_database(serve, one.url)
        await in_database(add_endpoint, route, two.url)
        with gateway_process(tmp_path) as gateway:
            body = {"model": "tiny", "input": "hi", "stream": True}
            for _ in range(12):
                url = f"{gateway.url}/v1/responses"
                async with session.post(url, json=body, headers=acme.bearer) as answer:
                    await answer.read()
            written = lines(tmp_path / "log")

    assert not access_lines(tmp_path)
    about_runs = [each for each in written if "endpoint ejected" in each["message"]]
    assert about_runs[0]["run"].startswith("resp_")
    assert about_runs[0]["tenant"] == acme.tenant.slug
