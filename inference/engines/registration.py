"""Keeps one engine registered at the console, whatever happens to the console."""

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

from inference.engines.engine import Load

logger = logging.getLogger(__name__)

TIMEOUT = aiohttp.ClientTimeout(total=5)
FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 15.0
OUTAGES = (aiohttp.ClientError, TimeoutError)


class RegistrationRefused(Exception):
    """The console knows this engine or its token and wants neither; trying again will not help."""


class RegistrationPostponed(Exception):
    """Not now: another engine holds the address. The message says which one and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What the console is told about an engine."""

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
class Lease:
    """The console's answer: registered under this id, for as long as heartbeats come."""

    id: str
    heartbeat_seconds: float
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """The console's side of the protocol, one method per message."""

    session: aiohttp.ClientSession
    url: str
    token: str = field(repr=False)

    @property
    def endpoints(self) -> str:
        return f"{self.url.rstrip('/')}/internal/v1/endpoints"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def register(self, details: Details) -> Lease:
        """Raises RegistrationRefused, RegistrationPostponed, or one of OUTAGES if the console
        cannot be asked.
        """
        async with self.session.post(
            self.endpoints, json=details.as_json(), headers=self.headers, timeout=TIMEOUT
        ) as answer:
            if answer.status in {400, 401, 403, 404, 422}:
                raise RegistrationRefused(refusal(answer.status, await answer.text()))
            if answer.status == 409:  # noqa: PLR2004 - somebody else is at our address
                raise RegistrationPostponed(message_of(await answer.text()))
            answer.raise_for_status()
            body = await answer.json()
        return Lease(
            id=body["id"],
            heartbeat_seconds=float(body["heartbeat_seconds"]),
            advice=tuple(body.get("advice", ())),
        )

    async def send_heartbeat(self, lease: Lease, *, load: Load) -> bool:
        """False if the console no longer knows this lease. Raises one of OUTAGES."""
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

    async def deregister(self, lease: Lease) -> None:
        """Raises one of OUTAGES."""
        async with self.session.delete(
            f"{self.endpoints}/{lease.id}", headers=self.headers, timeout=TIMEOUT
        ) as answer:
            if answer.status != 404:  # noqa: PLR2004 - gone already is what was wanted
                answer.raise_for_status()


def refusal(status: int, body: str) -> str:
    if status in {401, 403}:
        return (
            "The console refuses the join token. Issue one for this pool in the console "
            "(Inference > Model pools) and set TENANTRY_JOIN_TOKEN or TENANTRY_JOIN_TOKEN_FILE."
        )
    if status == 404:  # noqa: PLR2004 - what any other server would say
        return "No Tenantry console is at that address. Set TENANTRY_CONSOLE_URL or --console."
    return f"The console refuses to register this engine (status {status}): {body[:500]}"


def message_of(body: str) -> str:
    """The sentence of an error of ours; what there is, if it is none."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:500]


@dataclass(slots=True, kw_only=True)
class Registration:
    """The state of being registered. Run `keep` as a task; cancel it to deregister."""

    console: Console
    details: Details
    read_load: Callable[[], Awaitable[Load]]
    """Raises one of OUTAGES if the engine does not answer; then no heartbeat is sent for it."""
    ready_file: Path | None = None
    lease: Lease | None = None
    was_registered: bool = False

    async def keep(self) -> None:
        """Register, and heartbeat until cancelled; deregisters on the way out.

        Raises RegistrationRefused if the first registration is refused.
        """
        try:
            while True:
                if self.lease is None:
                    self.lease = await self.register()
                    self.show_ready()
                await asyncio.sleep(self.lease.heartbeat_seconds)
                await self.heartbeat(self.lease)
        finally:
            await asyncio.shield(self.leave())

    async def register(self) -> Lease:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                lease = await self.console.register(self.details)
            except RegistrationRefused as error:
                if not self.was_registered:
                    raise
                logger.warning("%s", error)
            except RegistrationPostponed as error:
                logger.warning("%s Trying again.", error)
            except OUTAGES as error:
                logger.warning("the console does not answer (%r); trying again", error)
            else:
                self.was_registered = True
                logger.info("registered as %s", lease.id)
                for sentence in lease.advice:
                    logger.warning("%s", sentence)
                return lease
            # Jitter, so that a hundred engines do not fall upon a console that comes back.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(pause * 2, MAX_PAUSE_SECONDS)

    async def heartbeat(self, lease: Lease) -> None:
        try:
            load = await self.read_load()
        except OUTAGES as error:
            logger.warning("the engine does not answer (%r); no heartbeat for it", error)
            return
        try:
            known = await self.console.send_heartbeat(lease, load=load)
        except OUTAGES as error:
            logger.warning("no heartbeat, the console does not answer (%r)", error)
            return
        if not known:
            logger.warning("the console has forgotten this engine; registering again")
            self.lease = None

    async def leave(self) -> None:
        lease, self.lease = self.lease, None
        if self.ready_file:
            self.ready_file.unlink(missing_ok=True)
        if lease is None:
            return
        try:
            await self.console.deregister(lease)
        except OUTAGES as error:
            logger.warning("could not deregister (%r); the console will notice by itself", error)
        else:
            logger.info("deregistered")

    def show_ready(self) -> None:
        if self.ready_file:
            self.ready_file.touch()
