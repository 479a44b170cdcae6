"""The management API keeps to the document that it publishes, whatever is sent to it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from knox.models import AuthToken

from agents import services as agents
from tenants import services
from tests.fixtures.console.people import make_event
from tests.fixtures.extras import missing
from tests.fixtures.fleet.scaling import make_policy
from tests.fixtures.limits.limits import make_plan, own_quota, own_rate
from tests.fixtures.runs.tools import make_tool

UNSTATED = "positive_data_acceptance"
"""The document cannot state rules between members, or which tenant a caller belongs to."""


@pytest.fixture
def schemathesis():
    python = os.environ.get("TENANTRY_CLIENTS_PYTHON")
    program = Path(python).with_name("schemathesis") if python else Path("schemathesis")
    if not shutil.which(program):
        missing("clients", "schemathesis is not there. `make test-clients` installs it.")
    return program


@pytest.fixture
def console_url(live_server, acme, route, pool):
    """A console with a row of most kinds."""
    services.issue_key(tenant=acme, name="production")
    agent = agents.create_agent(tenant=acme, slug="helper", name="Helper", route=route)
    agents.publish(agent=agent)
    make_tool(acme)
    make_event(acme)
    make_plan()
    own_quota(acme)
    own_rate(acme)
    make_policy(pool)
    return live_server.url


@pytest.mark.clients
@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(60, marks=pytest.mark.timeout(280)),
        pytest.param(900, marks=[pytest.mark.timeout(2400), pytest.mark.nightly]),
    ],
)
def test_every_answer_is_as_it_is_described(seconds, schemathesis, console_url, operator, tmp_path):
    _, token = AuthToken.objects.create(user=operator)
    command = (
        *(schemathesis, "run", f"{console_url}/api/schema/?format=json", "--no-color"),
        *("--header", f"Authorization: Bearer {token}", "--warnings", "off"),
        *("--checks", "all", "--exclude-checks", UNSTATED, "--continue-on-failure"),
        *("--max-time", str(seconds), "--request-timeout", "60"),
    )

    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
