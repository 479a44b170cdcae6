"""Two real vLLM replicas behind one address: shared work, cancelled work, and a death."""

import asyncio
import json
import math
import time
from collections import Counter
from datetime import timedelta

import psutil
import pytest
from django.utils import timezone

from inference import services as inference
from inference.endpoints import manual as static_endpoints
from inference.engines.engine import read_load
from inference.engines.vllm import VLLM
from inference.models import ModelEndpoint
from inference.monitoring.load_history import history_key
from inference.probes import service as probes
from tenants.counters.client import limits
from tests.fixtures.gateway import in_database, ledger
from tests.fixtures.servers.serving import ask
from tests.with_vllm.conftest import ROUTE

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600), pytest.mark.xdist_group("vllm")]

STREAM = {
    "model": ROUTE,
    "max_tokens": 24,
    "temperature": 0,
    "stream": True,
    "stream_options": {"include_usage": True},
}


@pytest.fixture
def announced(replicas, transactional_db):
    """What each replica said of itself. With the database, so that no test runs before others."""
    return [each for _, each in replicas]


@pytest.fixture
def pool(announced):
    pool = inference.create_pool(name=ROUTE, engine="vllm")
    for each in announced:
        static_endpoints.add_static_endpoint(
            pool=pool,
            address=each["address"],
            model=each["model"],
            credential=each["credential"],
        )
    inference.create_route(name=ROUTE, pool=pool)
    return pool


def load_of(each):
    return read_load(VLLM.metrics, metrics=ask("/metrics", announced=each).decode())


def tokens_of(each):
    load = load_of(each)
    return load.prompt_tokens, load.generation_tokens


def usage_of(answer):
    *events, done = answer.events
    assert done == "[DONE]"
    usage = json.loads(events[-1])["usage"]
    return usage["prompt_tokens"], usage["completion_tokens"]


def total(pairs):
    return tuple(sum(column) for column in zip(*pairs, strict=True))


async def test_streams_of_two_tenants_are_shared_and_billed_as_the_engines_count(
    pool, gateway, acme, rival, announced
):
    before = [tokens_of(each) for each in announced]

    asked = [gateway.chat(member, "Name a colour.", **STREAM) for member in (acme, rival) * 4]
    answers = await asyncio.gather(*asked)

    after = [tokens_of(each) for each in announced]
    grown = [(now[0] - then[0], now[1] - then[1]) for then, now in zip(before, after, strict=True)]
    events = await ledger(rows=8)
    billed = [(event.prompt_tokens, event.completion_tokens) for event in events]
    assert all(made > 0 for _, made in grown), "one replica did all of the work"
    assert total(billed) == total(grown) == total(map(usage_of, answers))
    assert not any(event.estimated for event in events)


async def test_what_a_client_leaves_stops_long_before_its_end(pool, gateway, acme, announced):
    before = sum(tokens_of(each)[1] for each in announced)
    messages = [{"role": "user", "content": "Tell a long story."}]
    body = {**STREAM, "max_tokens": 1500, "messages": messages}
    url = f"{gateway.url}/v1/chat/completions"

    async with gateway.client.post(url, json=body, headers=acme.bearer) as answer:
        for _ in range(10):
            await answer.content.readline()
        assert sum(load_of(each).running for each in announced) == 1
    while sum([load_of(each).running for each in announced]):
        await asyncio.sleep(0.02)

    assert sum(tokens_of(each)[1] for each in announced) - before < 1500


def test_probes_find_them_well_and_read_their_load(pool, announced):
    pool.completion_probe_seconds = 60
    inference.save_pool(pool=pool)
    now = timezone.now()

    assert probes.probe_completions(now=now) == 2
    for moment in (now, now + timedelta(minutes=1)):
        assert probes.probe_due(now=moment) == 2

    for endpoint in ModelEndpoint.objects.all():
        assert (endpoint.state, endpoint.probe_streak) == ("ready", 3), endpoint.probe_note
        assert endpoint.kv_cache_used is not None
        (_, newest), *_ = limits().xrevrange(history_key(endpoint.public_id), count=1)
        assert int(newest[b"generation_tokens"]) > 0
        assert b"generation_tokens_per_second" in newest


async def test_of_a_killed_replica_only_running_streams_are_cut_and_say_so(
    pool, gateway, acme, rival, replicas
):
    """The last one: it leaves one replica."""
    streams = [Stream(gateway, member) for member in (acme, rival) * 2]
    running = [asyncio.create_task(stream.read()) for stream in streams]
    await asyncio.gather(*(stream.began.wait() for stream in streams))

    assert not any(task.done() for task in running), "there is nothing left to be cut"
    dead, _ = replicas[0]
    for process in dead.family:
        process.kill()
    killed_at = time.monotonic()
    await in_database(psutil.wait_procs, dead.family, 10)
    asked = [gateway.chat(member, "Count to ten.", **STREAM) for member in (acme, rival) * 4]
    later = await asyncio.gather(*asked)
    earlier = await asyncio.gather(*running)

    assert [(answer.status, answer.events[-1]) for answer in later] == [(200, "[DONE]")] * 8
    ends = Counter(end_of(events) for events in earlier)
    assert ends == {"whole": 2, "upstream_broken": 2}
    # How long the others take is the speed of the engine that is left.
    cut = [stream for stream, events in zip(streams, earlier, strict=True) if is_cut(events)]
    assert max(stream.ended_at for stream in cut) - killed_at < 5
    events = await ledger(rows=12)
    billed = Counter(event.status for event in events if event.completion_tokens)
    assert billed == {"completed": 10, "failed": 2}

    def probe():
        for minute in range(3):
            probes.probe_due(now=timezone.now() + timedelta(minutes=minute))
        return sorted(ModelEndpoint.objects.values_list("state", flat=True))

    assert await in_database(probe) == ["ready", "unhealthy"]


class Stream:
    """A long answer that is being read."""

    def __init__(self, gateway, member):
        self.began = asyncio.Event()
        self.ended_at = math.inf
        self._gateway = gateway
        self._headers = member.bearer

    async def read(self):
        """The data of its events."""
        messages = [{"role": "user", "content": "Tell a long story."}]
        body = {**STREAM, "max_tokens": 800, "messages": messages}
        url = f"{self._gateway.url}/v1/chat/completions"
        events = []
        async with self._gateway.client.post(url, json=body, headers=self._headers) as answer:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    events.append(line[6:].strip())
                if len(events) > 1:
                    self.began.set()
        self.ended_at = time.monotonic()
        return events


def is_cut(events):
    return end_of(events) != "whole"


def end_of(events):
    """How a stream ended: `whole`, or the code of its error."""
    *_, last, done = events
    assert done == b"[DONE]"
    told = json.loads(last)
    return told["error"]["code"] if "error" in told else "whole"
