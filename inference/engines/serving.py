"""One engine from its start to its end: start, wait, register, heartbeat, deregister, stop."""

import asyncio
import logging
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from inference.engines.engine import Engine, EngineMissing, EngineRequest, Load, read_load
from inference.engines.process import EngineProcess, running_process
from inference.engines.process_guard import SIGNALLED
from inference.engines.registration import (
    OUTAGES,
    Console,
    Details,
    Registration,
    RegistrationRefused,
)

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
PROGRESS_SECONDS = 5.0
LAST_REQUESTS_SECONDS = 2.0
"""A gateway that misses the push reads of a departure within a second, and then sends nothing."""
ENGINE_TIMEOUT = aiohttp.ClientTimeout(total=4)


class EngineFailed(Exception):
    """The engine ended by itself. The message holds its exit code and its last lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Everything that one `serve_model` does."""

    engine: Engine
    request: EngineRequest
    address: str
    """Where the gateway reaches the engine."""
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
    """Returns after SIGTERM or SIGINT, when what ran has finished; a second one does not wait.

    Raises EngineMissing, EngineFailed or RegistrationRefused.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()
    listen(stop, hurry)
    command = service.engine.command(service.request)
    async with aiohttp.ClientSession() as session, running_process(command) as process:
        ended = asyncio.create_task(process.ended())
        duty = asyncio.create_task(register_and_heartbeat(service, session=session))
        await first_of(duty, asyncio.create_task(stop.wait()), ended=ended, process=process)
        if stop.is_set():
            draining = asyncio.create_task(drain(service, session=session))
            hurrying = asyncio.create_task(hurry.wait())
            await asyncio.wait({draining, hurrying, ended}, return_when=asyncio.FIRST_COMPLETED)
            for task in (draining, hurrying):
                task.cancel()


def listen(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    """The first signal sets `stop`, the second one `hurry`."""

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)


async def first_of(
    duty: asyncio.Task[None],
    stopping: asyncio.Task[bool],
    *,
    ended: asyncio.Task[int],
    process: EngineProcess,
) -> None:
    """Wait for the first of the three; then end the duty, which deregisters the engine."""
    await asyncio.wait({duty, stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
    if duty.done():
        duty.result()
    duty.cancel()
    await asyncio.wait({duty})
    if ended.done():
        raise EngineFailed(exit_report(process, exit_code=ended.result()))


def exit_report(process: EngineProcess, *, exit_code: int) -> str:
    how = (
        f"was ended by signal {exit_code - SIGNALLED}"
        if exit_code > SIGNALLED
        else f"ended with code {exit_code}"
    )
    lines = "\n".join(f"  | {line}" for line in process.tail) or "  | (it said nothing)"
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
    console = Console(session=session, url=service.console_url, token=service.join_token)
    await Registration(
        console=console,
        details=details,
        read_load=lambda: ask_load(service, session=session),
        ready_file=service.ready_file,
    ).keep()


async def wait_until_ready(service: Service, *, session: aiohttp.ClientSession) -> None:
    """Returns when the engine lists its model; says every 5 s that it is still loading."""
    started = reported = time.monotonic()
    while not await lists_model(service, session=session):
        if time.monotonic() - reported > PROGRESS_SECONDS:
            reported = time.monotonic()
            logger.info("loading %s, %.0f s so far", service.request.model, reported - started)
        await asyncio.sleep(POLL_SECONDS)
    logger.info("%s is ready after %.1f s", service.request.route, time.monotonic() - started)


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


async def ask_load(service: Service, *, session: aiohttp.ClientSession) -> Load:
    """Raises one of OUTAGES if the engine does not answer."""
    async with session.get(
        f"{service.request.address}/metrics",
        headers=service.engine_headers,
        timeout=ENGINE_TIMEOUT,
        raise_for_status=True,
    ) as answer:
        return read_load(service.engine.metrics, metrics=await answer.text())


async def drain(service: Service, *, session: aiohttp.ClientSession) -> None:
    """Let requests that are being answered finish, at most for the time that was given.

    Not before gateways have surely heard that the engine left: until then they may send more. An
    engine that does not answer may be busy; only one that is not there any more is not waited for.
    """
    started = time.monotonic()
    calm_until = started + min(LAST_REQUESTS_SECONDS, service.drain_seconds)
    while time.monotonic() < started + service.drain_seconds:
        if await is_idle(service, session=session) and time.monotonic() >= calm_until:
            logger.info("drained in %.1f s", time.monotonic() - started)
            return
        await asyncio.sleep(POLL_SECONDS)
    logger.warning("still busy after %.0f s; ending it anyway", service.drain_seconds)


async def is_idle(service: Service, *, session: aiohttp.ClientSession) -> bool:
    """Whether the engine works on nothing, or is not there any more."""
    try:
        load = await ask_load(service, session=session)
    except aiohttp.ClientConnectorError:
        return True
    except OUTAGES:
        return False
    return load.running + load.waiting == 0


__all__ = ["EngineFailed", "EngineMissing", "RegistrationRefused", "Service", "serve"]
