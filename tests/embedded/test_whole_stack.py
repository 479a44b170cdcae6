"""`manage.py up` as a person sees it: everything answers, nothing stays behind.

Each test starts on what the one before has left, stopped, killed or broken: only the first start
makes the data.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import psutil
import psycopg
import pytest
from websockets.sync.client import connect

from embedded.reaper import MARKER
from kernel.env_file import read_env_file
from tests.embedded.conftest import environment_with
from tests.embedded.watching import wait_until
from tests.fixtures.servers.ports import free_port

CHECKOUT = Path(__file__).resolve().parents[2]
START_SECONDS = 150
BUDGET = 50

log = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.model,
    pytest.mark.timeout(480),
    pytest.mark.xdist_group("stack"),
]


class Stack:
    """One `up`, its output in a file, and everything that carries its mark."""

    def __init__(self, environment: dict[str, str], output: Path) -> None:
        self.output = output
        with output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.home = Path(environment["TENANTRY_HOME"])

    def wait_until_ready(self) -> dict[str, str]:
        ready = "Tenantry is ready"
        wait_until(lambda: self.said(ready) or self.process.poll(), seconds=START_SECONDS)
        assert self.said(ready), self.output.read_text()
        return read_env_file(self.home / "demo.env")

    def said(self, words: str) -> bool:
        return words in self.output.read_text()

    def members(self) -> list[str]:
        found = []
        for process in psutil.process_iter():
            try:
                marked = process.environ().get(MARKER, "").startswith(f"{self.process.pid}-")
                if marked and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
            except (psutil.Error, OSError):
                continue
        return found


@pytest.fixture(scope="module")
def settings_of_stack(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("stack") / "home"
    ports = {
        f"TENANTRY_{name}_PORT": str(free_port())
        for name in ("CONSOLE", "GATEWAY", "ENGINE", "NODE")
    }
    return {**environment_with(home), **ports}


@contextmanager
def started(settings: dict[str, str], output: Path) -> Iterator[Stack]:
    stack = Stack(settings, output)
    try:
        yield stack
    finally:
        stack.process.kill()
        stack.process.wait()
        wait_until(lambda: not stack.members(), seconds=40)


@pytest.fixture
def stack(settings_of_stack: dict[str, str], tmp_path: Path) -> Iterator[Stack]:
    with started(settings_of_stack, tmp_path / "output") as stack:
        yield stack


def ask(demo: dict[str, str]) -> dict:
    body = {
        "model": demo["TENANTRY_AGENT"],
        "max_tokens": 4,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    request = urllib.request.Request(
        f"{demo['TENANTRY_GATEWAY_URL']}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {demo['TENANTRY_API_KEY']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def chat(demo: dict[str, str], **body) -> tuple[int, int]:
    """The usage that a whole or streamed answer of the model tells: prompt and completion."""
    with openai.OpenAI(
        base_url=f"{demo['TENANTRY_GATEWAY_URL']}/v1", api_key=demo["TENANTRY_API_KEY"]
    ) as client:
        answer = client.chat.completions.create(
            model=demo["TENANTRY_AGENT"],
            messages=[{"role": "user", "content": "Name a colour."}],
            max_tokens=8,
            **body,
        )
        usage = [part.usage for part in answer if part.usage][-1] if body else answer.usage
    return usage.prompt_tokens, usage.completion_tokens


def chat_on_socket(demo: dict[str, str]) -> tuple[int, int]:
    url = demo["TENANTRY_GATEWAY_URL"].replace("http", "ws", 1) + "/ws/v1/responses"
    key = {"Authorization": f"Bearer {demo['TENANTRY_API_KEY']}"}
    asked = {"type": "response.create", "model": demo["TENANTRY_AGENT"], "max_output_tokens": 8}
    with connect(url, additional_headers=key) as client:
        client.send(json.dumps({**asked, "input": "Name a colour."}))
        frames = []
        while not frames or frames[-1]["type"] not in {"response.completed", "response.incomplete"}:
            frames.append(json.loads(client.recv(timeout=60)))
    assert any(frame["type"] == "response.output_text.delta" for frame in frames)
    usage = frames[-1]["response"]["usage"]
    return usage["input_tokens"], usage["output_tokens"]


def metered(stack: Stack) -> list[tuple[int, int]]:
    """Prompt and completion tokens of the ledger's rows, oldest first."""
    address = read_env_file(stack.home / "stack.env")["DATABASE_URL"]
    query = "SELECT prompt_tokens, completion_tokens FROM tenants_usageevent ORDER BY id"
    with psycopg.connect(address, autocommit=True) as database:
        return database.execute(query).fetchall()


def one_more(stack: Stack) -> int:
    """The status of one more request with the key that has the budget."""
    demo = read_env_file(stack.home / "demo.env")
    try:
        ask({**demo, "TENANTRY_API_KEY": demo["TENANTRY_BUDGET_KEY"]})
    except urllib.error.HTTPError as refusal:
        return refusal.code
    return 200


def what_it_says(stack: Stack) -> str:
    """The end of its output: why others were refused."""
    return stack.output.read_text()[-5000:]


def programs_of_the_readme() -> list[str]:
    blocks = (CHECKOUT / "README.md").read_text().split("```python\n")[1:]
    return [block[: block.index("\n```")] for block in blocks]


def run_as_pasted(program: str, *, stack: Stack) -> str:
    """What it prints, in a shell where `demo.env` was sourced and nothing else is set."""
    command = f"source {stack.home / 'demo.env'} && exec {sys.executable} -"
    ran = subprocess.run(
        ["bash", "-c", command],
        input=program,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def fire_as_in_the_readme(stack: Stack) -> tuple[Counter[str], dict]:
    """Its script as it stands there: how many answers had which status, and what usage it tells."""
    readme = (CHECKOUT / "README.md").read_text()
    section = readme[readme.index("## A quota that holds") :]
    script = section[section.index("```sh\n") + 6 : section.index("\n```\n")]
    script = script.replace(".tenantry/demo.env", str(stack.home / "demo.env"))
    printed = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    *counts, usage = printed.strip().split("\n")
    statuses = {status: int(count) for count, status in map(str.split, counts)}
    return Counter(statuses), json.loads(usage)


def test_the_readme_can_be_pasted_and_its_budget_holds(stack: Stack):
    """On the real model: fifty answers, and the rest refused. Not one more, if it is fired again
    because a machine that is starved of processor time said for a moment that it cannot tell (503).
    """
    stack.wait_until_ready()
    before = len(metered(stack))
    programs = programs_of_the_readme()
    assert len(programs) == 3
    assert all(run_as_pasted(program, stack=stack).strip() for program in programs)

    fired, usage = fire_as_in_the_readme(stack)
    for _ in range(2):
        if fired["503"] and fired["200"] < BUDGET:
            log.warning("%s: %s", dict(fired), what_it_says(stack))
            time.sleep(3)
            more, usage = fire_as_in_the_readme(stack)
            fired += more

    assert fired["200"] == BUDGET, what_it_says(stack)
    assert set(fired) <= {"200", "429", "503"}
    assert fired["429"] > fired["503"]
    wait_until(lambda: one_more(stack) == 429, seconds=10)
    asked = before + BUDGET + len(programs)
    wait_until(lambda: len(metered(stack)) == asked, seconds=10)
    assert usage["quotas"][0]["limit"] == BUDGET


def test_a_real_model_is_metered_as_it_counts_itself_and_a_second_start_has_the_same_data(
    stack: Stack, settings_of_stack: dict[str, str], tmp_path: Path
):
    demo = stack.wait_until_ready()
    before = metered(stack)
    told = [
        chat(demo),
        chat(demo, stream=True, stream_options={"include_usage": True}),
        chat_on_socket(demo),
    ]
    assert all(completion > 0 for _, completion in told)
    wait_until(lambda: metered(stack) == [*before, *told], seconds=10)
    for name in ("demo.env", "stack.env", "secrets.env", "join-token", "node-token"):
        assert (stack.home / name).stat().st_mode & 0o777 == 0o600
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(timeout=60) == 0
    assert stack.members() == []

    with started(settings_of_stack, tmp_path / "again") as again:
        assert again.wait_until_ready() == demo
        assert metered(again) == [*before, *told]
        assert ask(demo)["usage"]["completion_tokens"] > 0
        again.process.send_signal(signal.SIGTERM)
        assert again.process.wait(timeout=60) == 0
        assert again.members() == []


def gateways_of(stack: Stack) -> set[int]:
    found = set()
    for process in psutil.Process(stack.process.pid).children(recursive=True):
        try:
            if "config.gateway.server" in process.cmdline():
                found.add(process.pid)
        except psutil.Error:
            continue  # it ended while it was looked at
    return found


def test_a_gateway_that_dies_is_started_again_and_a_killed_stack_leaves_nothing(stack: Stack):
    stack.wait_until_ready()
    killed = gateways_of(stack)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: gateways_of(stack) - killed, seconds=60)
    assert stack.process.poll() is None

    assert len(stack.members()) > 8
    os.kill(stack.process.pid, signal.SIGKILL)
    wait_until(lambda: not stack.members(), seconds=40)


def test_a_database_that_dies_is_named_with_the_end_of_its_log(stack: Stack):
    stack.wait_until_ready()
    pid_file = stack.home / "postgres" / "postmaster.pid"
    os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGKILL)
    assert stack.process.wait(timeout=60) == 1
    assert stack.said("postgres (process")
    assert stack.said("database system is ready to accept connections")
    assert stack.members() == []
