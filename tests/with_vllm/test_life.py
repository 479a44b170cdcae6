"""A real vLLM from its start to its end, at a real console."""

import signal

import pytest

from inference import services as inference
from inference.endpoints import join_tokens
from inference.models import ModelEndpoint
from tests.embedded.watching import wait_until
from tests.with_vllm.conftest import READY_SECONDS, ROUTE

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(400), pytest.mark.xdist_group("vllm")]


@pytest.fixture
def registered(live_server, settings, serve_model, tmp_path):
    """An engine that has registered at the console, and has said that it is alive."""
    settings.HEARTBEAT_SECONDS = 1
    pool = inference.create_pool(name="small", engine="vllm")
    inference.create_route(name=ROUTE, pool=pool)
    _, token = join_tokens.issue_join_token(pool=pool, name="rack 1")
    with serve_model(console=live_server.url, output=tmp_path / "output", token=token) as engine:
        wait_until(
            lambda: ModelEndpoint.objects.exists() or engine.process.poll() is not None,
            seconds=READY_SECONDS,
        )
        assert engine.process.poll() is None, engine.said
        engine.look_around()
        yield engine


def test_it_registers_says_that_it_is_alive_and_leaves_nothing_behind(registered):
    endpoint = ModelEndpoint.objects.get()
    wait_until(lambda: ModelEndpoint.objects.get().heartbeat_at > endpoint.heartbeat_at)
    assert (endpoint.model, endpoint.state) == (ROUTE, "ready")
    # The leash, the server, its engine core, and what else this version of vLLM starts.
    assert len(registered.family) >= 3

    registered.process.send_signal(signal.SIGTERM)

    assert registered.process.wait(timeout=60) == 0
    assert not ModelEndpoint.objects.exists()
    assert registered.is_gone()


def test_killed_it_takes_all_processes_of_the_engine_along(registered):
    registered.process.kill()
    wait_until(registered.is_gone, seconds=30)
