"""The life cycle of one engine: start, wait, register, send heartbeats, deregister, stop."""

import asyncio
import logging
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from inference.engines.engine import Engine, EngineLoad, EngineMissing, EngineRequest, read_load
from inference.engines.process import EngineProcess, running_process
from inference.engines.process_guard import SIGNAL_EXIT_BASE
from inference.engines.registration import (
    OUTAGES,
    ConsoleClient,
    Details,
    RegistrationKeeper,
    RegistrationRefused,
)

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
PROGRESS_SECONDS = 5.0
LAST_REQUESTS_SECONDS = 2.0
"""Seconds after deregistration in which requests may still arrive. A gateway that missed the push
reads the change within a second."""
ENGINE_TIMEOUT = aiohttp.ClientTimeout(total=4)


class EngineFailed(Exception):
    """The engine ended unexpectedly. The message has its exit code and its last lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The parameters of one `serve_model`."""

    engine: Engine
    request: EngineRequest
    address: str
    """The base URL under which gateways reach the engine."""
    console_url: str
    join_token: str
    ready_file: Path | None
    drain_seconds: float
    weight: int = 1
    zone: str = ""
    capabilities: tuple[str, ...] = ()

    @property
    def engine_headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.request.credential}"}


async def serve(service: Service) -> None:
    """Serve until SIGTERM or SIGINT, and drain; a second signal skips the draining.

    Raises EngineMissing, EngineFailed or RegistrationRefused.
    """
    stop, force_stop = asyncio.Event(), asyncio.Event()
    handle_signals(stop, force_stop)
    command = service.engine.command(service.request)
    async with aiohttp.ClientSession() as session, running_process(command) as process:
        ended = asyncio.create_task(process.ended())
        registration = asyncio.create_task(register_and_heartbeat(service, session=session))
        await first_of(registration, asyncio.create_task(stop.wait()), ended=ended, process=process)
        if stop.is_set():
            draining = asyncio.create_task(drain(service, session=session))
            forcing = asyncio.create_task(force_stop.wait())
            await asyncio.wait({draining, forcing, ended}, return_when=asyncio.FIRST_COMPLETED)
            for task in (draining, forcing):
                task.cancel()


def handle_signals(stop: asyncio.Event, force_stop: asyncio.Event) -> None:
    """Handle SIGTERM and SIGINT: the first signal sets `stop`, the second one `force_stop`."""

    def on_signal() -> None:
        (force_stop if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)


async def first_of(
    registration: asyncio.Task[None],
    stopping: asyncio.Task[bool],
    *,
    ended: asyncio.Task[int],
    process: EngineProcess,
) -> None:
    """Wait for the first of the three, then cancel `registration`, which deregisters the engine."""
    await asyncio.wait({registration, stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
    if registration.done():
        registration.result()
    registration.cancel()
    await asyncio.wait({registration})
    if ended.done():
        raise EngineFailed(exit_report(process, exit_code=ended.result()))


def exit_report(process: EngineProcess, *, exit_code: int) -> str:
    how = (
        f"was ended by signal {exit_code - SIGNAL_EXIT_BASE}"
        if exit_code > SIGNAL_EXIT_BASE
        else f"ended with code {exit_code}"
    )
    lines = "\n".join(f"  | {line}" for line in process.tail) or "  | (no output)"
    return f"The engine {how}. Its last lines:\n{lines}"


async def register_and_heartbeat(service: Service, *, session: aiohttp.ClientSession) -> None:
    """Wait for the engine, then keep it registered until cancelled."""
    await wait_until_ready(service, session=session)
    details = Details(
        address=service.address,
        model=service.request.route,
        engine=service.engine.name,
        engine_version=await asyncio.to_thread(service.engine.version, service.request),
        max_concurrency=service.request.max_concurrency,
        credential=service.request.credential,
        weight=service.weight,
        zone=service.zone,
        capabilities=service.capabilities,
    )
    console = ConsoleClient(session=session, url=service.console_url, token=service.join_token)
    await RegistrationKeeper(
        console=console,
        details=details,
        read_load=lambda: fetch_load(service, session=session),
        ready_file=service.ready_file,
    ).keep()


async def wait_until_ready(service: Service, *, session: aiohttp.ClientSession) -> None:
    """Wait until the engine lists its model, and log the progress every 5 s."""
    started = reported = time.monotonic()
    while not await lists_model(service, session=session):
        if time.monotonic() - reported > PROGRESS_SECONDS:
            reported = time.monotonic()
            elapsed = reported - started
            logger.info("engine: loading (model=%s, seconds=%.0f)", service.request.model, elapsed)
        await asyncio.sleep(POLL_SECONDS)
    elapsed = time.monotonic() - started
    logger.info("engine: ready (model=%s, seconds=%.1f)", service.request.route, elapsed)


async def lists_model(service: Service, *, session: aiohttp.ClientSession) -> bool:
    url = f"{service.request.address}/v1/models"
    try:
        async with session.get(
            url, headers=service.engine_headers, timeout=ENGINE_TIMEOUT
        ) as answer:
            if answer.status != 200:  # noqa: PLR2004 - 503 while it loads
                return False
            listed = (await answer.json())["data"]
    except OUTAGES:
        return False
    return any(model["id"] == service.request.route for model in listed)


async def fetch_load(service: Service, *, session: aiohttp.ClientSession) -> EngineLoad:
    """Return the load of the engine. Raises one of OUTAGES if it does not respond."""
    async with session.get(
        f"{service.request.address}/metrics",
        headers=service.engine_headers,
        timeout=ENGINE_TIMEOUT,
        raise_for_status=True,
    ) as answer:
        return read_load(service.engine.metrics, metrics=await answer.text())


async def drain(service: Service, *, session: aiohttp.ClientSession) -> None:
    """Wait until running requests have finished, at most `drain_seconds`.

    It takes at least LAST_REQUESTS_SECONDS, in which gateways may still send requests. An engine
    that does not respond may be busy; only a closed port counts as idle.
    """
    started = time.monotonic()
    calm_until = started + min(LAST_REQUESTS_SECONDS, service.drain_seconds)
    while time.monotonic() < started + service.drain_seconds:
        if await is_idle(service, session=session) and time.monotonic() >= calm_until:
            logger.info("engine: drained in %.1f s", time.monotonic() - started)
            return
        await asyncio.sleep(POLL_SECONDS)
    logger.warning(
        "engine: requests still run, stopped anyway (seconds=%.0f)", service.drain_seconds
    )


async def is_idle(service: Service, *, session: aiohttp.ClientSession) -> bool:
    """Return whether the engine has no requests, or no longer runs."""
    try:
        load = await fetch_load(service, session=session)
    except aiohttp.ClientConnectorError:
        return True
    except OUTAGES:
        return False
    return load.running + load.waiting == 0


__all__ = ["EngineFailed", "EngineMissing", "RegistrationRefused", "Service", "serve"]
