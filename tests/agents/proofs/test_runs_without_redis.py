"""The server of events is away: runs are made and told to whoever asked, and that is all."""

import aiohttp
import pytest
from django.conf import settings

from tests.fakes.model_server import Behaviour
from tests.fixtures.runs.runs import frames_until, open_stream, output_text, text_of
from tests.fixtures.servers.ports import free_port
from tests.fixtures.servers.processes import gateway_process
from tests.fixtures.servers.valkey import valkey_process

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny")]


async def test_a_run_without_a_log_still_streams_to_its_client(tmp_path, acme, engine):
    engine.behave(Behaviour(tokens=20, token_seconds=0.05))
    port = free_port()
    with (
        valkey_process(port) as events,
        gateway_process(
            tmp_path,
            redis_url=f"redis://127.0.0.1:{port}/0",
            REDIS_LIMITS_URL=settings.REDIS_LIMITS_URL,
        ) as worker,
    ):
        async with aiohttp.ClientSession() as session:
            running = await open_stream(session, worker.url, acme)
            frames = await frames_until(running, "response.output_text.delta")
            events.kill()
            frames += await frames_until(running, "response.completed", "response.failed")
            later = await open_stream(session, worker.url, acme)
            others = await frames_until(later, "response.completed", "response.failed")
            path = f"{worker.url}/v1/responses/{frames[0]['response']['id']}?stream=true"
            async with session.get(path, headers=acme.bearer) as answer:
                rebuilt = await frames_until(answer, "response.completed")
            for each in (running, later):
                each.close()

    for seen in (frames, others):
        assert seen[-1]["type"] == "response.completed"
        assert [frame["sequence_number"] for frame in seen] == list(range(len(seen)))
        assert text_of(seen) == output_text(seen[-1]["response"])
    assert text_of(rebuilt) == text_of(frames)
    assert len(engine.records) == 2
