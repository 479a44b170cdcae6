"""On both event loops: the gateway runs on uvloop, whose transports are not asyncio's."""

import asyncio

import uvloop


def pytest_asyncio_loop_factories():
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
