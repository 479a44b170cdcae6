"""Keeps one engine registered at the console, also after outages of the console."""

import asyncio
import json
import logging
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from inference.engines.engine import EngineLoad

logger = logging.getLogger(__name__)

TIMEOUT = aiohttp.ClientTimeout(total=5)
FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 15.0
OUTAGES = (aiohttp.ClientError, TimeoutError)


class RegistrationRefused(Exception):
    """The console rejected the registration; trying again will not help."""


class RegistrationPostponed(Exception):
    """Another engine holds the address. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """The facts about an engine that a registration sends."""

    address: str
    model: str
    engine: str
    engine_version: str
    max_concurrency: int
    credential: str = field(repr=False)
    weight: int = 1
    zone: str = ""
    capabilities: tuple[str, ...] = ()
    machine: str = field(default_factory=socket.gethostname)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "capabilities": list(self.capabilities)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A registration. It expires without heartbeats."""

    id: str
    heartbeat_seconds: float
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleClient:
    """Client of the console, one method per request."""

    session: aiohttp.ClientSession
    url: str
    token: str = field(repr=False)

    @property
    def endpoints(self) -> str:
        return f"{self.url.rstrip('/')}/internal/v1/endpoints"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def register(self, details: Details) -> Registered:
        """Register the engine.

        Raises RegistrationRefused, RegistrationPostponed, or one of OUTAGES if the console cannot
        be reached.
        """
        async with self.session.post(
            self.endpoints, json=details.as_json(), headers=self.headers, timeout=TIMEOUT
        ) as answer:
            if answer.status in {400, 401, 403, 404, 422}:
                raise RegistrationRefused(refusal(answer.status, await answer.text()))
            if answer.status == 409:  # noqa: PLR2004 - another engine has the address
                raise RegistrationPostponed(message_of(await answer.text()))
            answer.raise_for_status()
            body = await answer.json()
        return Registered(
            id=body["id"],
            heartbeat_seconds=float(body["heartbeat_seconds"]),
            advice=tuple(body.get("advice", ())),
        )

    async def send_heartbeat(self, lease: Registered, *, load: EngineLoad) -> bool:
        """Send a heartbeat. Return False if the registration is gone. Raises one of OUTAGES."""
        async with self.session.post(
            f"{self.endpoints}/{lease.id}/heartbeat",
            json=load.as_json(),
            headers=self.headers,
            timeout=TIMEOUT,
        ) as answer:
            if answer.status in {401, 403, 404}:
                return False
            answer.raise_for_status()
            return True

    async def deregister(self, lease: Registered) -> None:
        """End the registration. Raises one of OUTAGES."""
        async with self.session.delete(
            f"{self.endpoints}/{lease.id}", headers=self.headers, timeout=TIMEOUT
        ) as answer:
            if answer.status != 404:  # noqa: PLR2004 - it was gone already
                answer.raise_for_status()


def refusal(status: int, body: str) -> str:
    if status in {401, 403}:
        return (
            "The console rejected the join token. Issue one for this pool in the console "
            "(Inference > Model pools) and set TENANTRY_JOIN_TOKEN or TENANTRY_JOIN_TOKEN_FILE."
        )
    if status == 404:  # noqa: PLR2004 - the response of any other server
        return "No Tenantry console is at that address. Set TENANTRY_CONSOLE_URL or --console."
    return f"The console rejected the registration (status {status}): {body[:500]}"


def message_of(body: str) -> str:
    """Return the message in an error body of the console; the start of any other body."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:500]


@dataclass(slots=True, kw_only=True)
class RegistrationKeeper:
    """Registers an engine and sends its heartbeats. Run `keep` as a task; cancel it to
    deregister.
    """

    console: ConsoleClient
    details: Details
    read_load: Callable[[], Awaitable[EngineLoad]]
    """Returns the load. Raises one of OUTAGES if the engine does not respond; then no heartbeat is
    sent.
    """
    ready_file: Path | None = None
    lease: Registered | None = None
    was_registered: bool = False

    async def keep(self) -> None:
        """Register, and send heartbeats until cancelled; then deregister.

        Raises RegistrationRefused if the first registration is refused.
        """
        try:
            while True:
                if self.lease is None:
                    self.lease = await self.register()
                    self.mark_ready()
                await asyncio.sleep(self.lease.heartbeat_seconds)
                await self.heartbeat(self.lease)
        finally:
            await asyncio.shield(self.deregister())

    async def register(self) -> Registered:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                lease = await self.console.register(self.details)
            except RegistrationRefused as error:
                if not self.was_registered:
                    raise
                logger.warning("engine: registration rejected, trying again: %s", error)
            except RegistrationPostponed as error:
                logger.warning("engine: registration postponed, trying again: %s", error)
            except OUTAGES as error:
                logger.warning(
                    "engine: console unavailable, trying to register again (error=%r)", error
                )
            else:
                self.was_registered = True
                logger.info("engine: registered (endpoint=%s)", lease.id)
                for sentence in lease.advice:
                    logger.warning("engine: %s", sentence)
                return lease
            # Jitter, so that many engines do not register at once after an outage of the console.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(pause * 2, MAX_PAUSE_SECONDS)

    async def heartbeat(self, lease: Registered) -> None:
        try:
            load = await self.read_load()
        except OUTAGES as error:
            logger.warning("engine: no response, heartbeat not sent (error=%r)", error)
            return
        try:
            known = await self.console.send_heartbeat(lease, load=load)
        except OUTAGES as error:
            logger.warning("engine: console unavailable, heartbeat not sent (error=%r)", error)
            return
        if not known:
            logger.warning("engine: registration lost, registering again")
            self.lease = None

    async def deregister(self) -> None:
        lease, self.lease = self.lease, None
        if self.ready_file:
            self.ready_file.unlink(missing_ok=True)
        if lease is None:
            return
        try:
            await self.console.deregister(lease)
        except OUTAGES as error:
            logger.warning("engine: deregistration failed, it will expire (error=%r)", error)
        else:
            logger.info("engine: deregistered")

    def mark_ready(self) -> None:
        if self.ready_file:
            self.ready_file.touch()
