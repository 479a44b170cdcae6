"""A node that may not register does not start, says what to do, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from agents.errors import (
    InvalidNode,
    InvalidNodeToken,
    NodeNameTaken,
    NodeTokenUsedUp,
    NodeVersionMismatch,
)
from agents.models import AgentNode, NodeToken
from agents.nodes.tokens import block_node_token
from config.gateway.composition import GatewayWorker
from config.gateway.worker_lifecycle import WorkerLifecycle
from kernel.models import DatabaseVersion
from tests.fixtures.gateway import in_database
from tests.fixtures.nodes import node_token, register
from tests.fixtures.servers import processes
from tests.fixtures.servers.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)


def blocked():
    token, text = node_token()
    block_node_token(token=token, now=timezone.now())
    return {"NODE_TOKEN": text}


def used_up():
    _, text = node_token(max_uses=1)
    register("node-1", token=text)
    return {"NODE_TOKEN": text}


def name_of_another():
    register("node-1")
    return {"NODE_TOKEN": node_token()[1], "NODE_NAME": "node-1"}


def of_another_version():
    DatabaseVersion.objects.update_or_create(pk=1, defaults={"version": "7.0.0"})
    return {"NODE_TOKEN": node_token()[1]}


async def start(given):
    with override_settings(**given):
        worker = GatewayWorker(is_agent_node=True)
    async with WorkerLifecycle(worker):
        pytest.fail("the node has started")


def state():
    return list(AgentNode.objects.values()), list(NodeToken.objects.order_by("pk").values())


@pytest.mark.parametrize(
    ("prepare", "error"),
    [
        (dict, InvalidNodeToken),
        (blocked, InvalidNodeToken),
        (used_up, NodeTokenUsedUp),
        (name_of_another, NodeNameTaken),
        (of_another_version, NodeVersionMismatch),
    ],
)
async def test_a_node_is_refused_and_nothing_is_written(prepare, error):
    given = await in_database(prepare)
    before = await in_database(state)
    with pytest.raises(error):
        await start({"NODE_NAME": "node-2", **given})
    assert await in_database(state) == before


def test_a_node_with_garbled_labels_is_not_even_built():
    with override_settings(NODE_LABELS=["gpu=a b"]), pytest.raises(InvalidNode, match="gpu"):
        GatewayWorker(is_agent_node=True)


@pytest.mark.slow
def test_the_process_says_what_is_wrong_and_ends(tmp_path: Path):
    environment = {
        **os.environ,
        "DATABASE_URL": processes.test_database_url(),
        "REDIS_URL": settings.REDIS_LIMITS_URL,
        "TENANTRY_ENVIRONMENT": "embedded",
        "TENANTRY_NODE_PORT": str(free_port()),
        "TENANTRY_HOME": str(tmp_path),
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    ended = subprocess.run(
        [sys.executable, "manage.py", "agent_node", "--token", blocked()["NODE_TOKEN"]],
        env=environment, cwd=processes.CHECKOUT, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    output = ended.stdout + ended.stderr
    assert ended.returncode not in {0, None}
    assert "invalid_node_token" in output
    assert "Create one on the console" in output
    assert "Traceback" not in output
