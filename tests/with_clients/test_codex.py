"""Codex, as it is installed, against the gateway: it starts, answers, and carries out a call."""

import json
import shutil

import pytest

from tests.fixtures.extras import missing
from tests.with_clients.conftest import JS

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]
SETTINGS = """
model = "{model}"
model_provider = "tenantry"
[model_providers.tenantry]
name = "Tenantry"
base_url = "{url}/v1"
env_key = "API_KEY"
wire_api = "responses"
"""
RUN = ("exec", "--json", "--skip-git-repo-check", "--sandbox", "danger-full-access")


@pytest.fixture
def codex(door, acme, tmp_path, run_program):
    """Lets Codex work on a task with a model, and answers what it printed."""
    program = JS / "node_modules" / ".bin" / "codex"
    if shutil.which("node") is None or not program.exists():
        missing("node", "Codex is not installed. `make test-clients` tries it.")

    async def working(task, *, model, fails=False):
        home = tmp_path / "codex"
        home.mkdir()
        (home / "config.toml").write_text(SETTINGS.format(model=model, url=door.url))
        printed = await run_program(program, *RUN, task, fails=fails, CODEX_HOME=str(home))
        return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]

    return working


async def test_codex_starts_and_answers(codex):
    events = await codex("Say hello.", model="talker")

    assert texts(events) == ["tok0 tok1"]
    usage = events[-1]["usage"]
    assert events[-1]["type"] == "turn.completed"
    assert (usage["output_tokens"], usage["input_tokens"] > 0) == (2, True)


async def test_codex_carries_out_what_the_model_calls(codex, models):
    events = await codex("What is 2 + 3?", model="programmer")

    commands = [each["item"] for each in events if each["type"] == "item.completed"]
    done = next(item for item in commands if item["type"] == "command_execution")
    assert (done["exit_code"], done["aggregated_output"]) == (0, "5\n")
    assert texts(events) == ["It is 5."]
    answer = models["programmer"].records.last.body["messages"][-1]
    assert (answer["role"], "5\n" in answer["content"]) == ("tool", True)


async def test_codex_says_what_a_refusal_says(codex):
    events = await codex("Say hello.", model="nobody", fails=True)

    failure = next(each for each in events if each["type"] == "turn.failed")
    assert "nobody" in failure["error"]["message"]


def texts(events):
    """What the model said to the user."""
    items = (each["item"] for each in events if each["type"] == "item.completed")
    return [item["text"] for item in items if item["type"] == "agent_message"]
