"""Histograms of time: what is the gateway's own, and what requests waited for."""

import asyncio
from contextlib import suppress

import pytest

from kernel import metrics
from tests.fakes.model_server import Behaviour, Fault
from tests.fixtures.gateway import eventually
from tests.inference.queueing.test_pool_queue import drop, fill, limited

__all__ = ["limited"]

pytestmark = pytest.mark.usefixtures("tiny")


def samples(metric):
    return [sample for family in metric.collect() for sample in family.samples]


def value(metric, name, **labels):
    found = [each.value for each in samples(metric) if (each.name, each.labels) == (name, labels)]
    return found[0] if found else 0.0


def observed(metric, name, **labels):
    """Number of observations, and their sum in seconds."""
    return tuple(value(metric, f"{name}_{of}", **labels) for of in ("count", "sum"))


def overhead(door):
    return observed(metrics.gateway_overhead, "tenantry_gateway_overhead_seconds", door=door)


def queue_wait():
    return observed(metrics.queue_wait, "tenantry_queue_wait_seconds", pool="tiny")


def requests(door="chat_completions", *, status):
    labels = {"door": door, "route": "tiny", "status": str(status)}
    return value(metrics.requests, "tenantry_requests_total", **labels)


async def leave(request, *, after):
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(request, timeout=after)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_wait_for_an_engine_is_no_time_of_the_gateway(gateway, acme, engine, stream):
    engine.behave(Behaviour(first_token_seconds=0.6))
    count, total = overhead("chat_completions")

    assert (await gateway.chat(acme, stream=stream)).status == 200

    after = overhead("chat_completions")
    assert after[0] == count + 1
    assert after[1] - total < 0.5


@pytest.mark.parametrize("stream", [False, True])
async def test_nor_is_that_of_a_client_that_leaves(gateway, acme, engine, stream):
    engine.behave(Behaviour(first_token_seconds=30))
    before, left = overhead("chat_completions"), requests(status=499)

    await leave(gateway.chat(acme, stream=stream), after=0.5)

    await eventually(lambda: requests(status=499) == left + 1)
    assert overhead("chat_completions") == before


async def test_nor_is_that_of_an_engine_that_fails(gateway, acme, engine):
    engine.behave(Behaviour(fault=Fault.REFUSES, status=500))
    before = overhead("chat_completions")

    assert (await gateway.chat(acme)).status == 502

    assert overhead("chat_completions") == before


async def test_a_refusal_of_the_gateway_is(gateway, acme):
    count, _ = overhead("chat_completions")

    assert (await gateway.chat(acme, model="other")).status == 404

    assert overhead("chat_completions")[0] == count + 1


async def test_the_queue_counts_requests_that_it_refuses(gateway, acme, engine, limited):
    await limited(queue_seconds=0.4)
    tasks = await fill(gateway, engine, acme)
    before, (count, waited) = overhead("chat_completions"), queue_wait()

    assert (await gateway.chat(acme)).status == 503

    assert queue_wait()[0] == count + 1
    assert queue_wait()[1] - waited >= 0.35
    assert overhead("chat_completions") == before
    await drop(tasks)


@pytest.mark.parametrize("path", ["healthz", "readyz", "metrics"])
async def test_probes_are_no_requests_of_tenants(gateway, path):
    assert (await gateway.get(None, f"/{path}")).status == 200

    measured = (metrics.requests, metrics.request_duration, metrics.gateway_overhead)
    doors = {each.labels["door"] for metric in measured for each in samples(metric)}
    assert doors.isdisjoint({"health", "ready", "metrics"})


async def test_a_response_whose_client_leaves_is_no_time_of_the_gateway(gateway, acme, engine):
    engine.behave(Behaviour(first_token_seconds=30))
    before, left = overhead("responses"), requests("responses", status=499)
    asked = {"model": "tiny", "input": "hi", "stream": True}

    await leave(gateway.post(acme, "/v1/responses", json=asked), after=0.5)

    await eventually(lambda: requests("responses", status=499) == left + 1)
    assert overhead("responses") == before


async def test_a_background_response_is_answered_by_the_gateway_alone(gateway, acme, engine):
    engine.behave(Behaviour(first_token_seconds=0.01))
    count, _ = overhead("responses")
    asked = {"model": "tiny", "input": "hi", "background": True}

    assert (await gateway.post(acme, "/v1/responses", json=asked)).status == 200

    assert overhead("responses")[0] == count + 1
