"""Keeps the number of engines on this machine that the console requests: starts, drains and
restarts them.

Each engine has a slot with its own port and, if configured, its own devices. The console is polled;
while it is unavailable, nothing changes. An engine is stopped by SIGTERM to its `serve_model`,
which deregisters it first and then drains it.
"""

import asyncio
import ctypes
import errno
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from inference.engines.registration import OUTAGES, TIMEOUT, message_of

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 3.0
CRASH_PAUSE_SECONDS = 5.0
MAX_CRASH_PAUSE_SECONDS = 120.0
STABLE_RUN_SECONDS = 60.0
"""Run time of an engine after which its end does not count as a failed start."""
PR_SET_PDEATHSIG = 1
REFUSALS = frozenset({400, 401, 403, 404, 422})


class HostRefused(Exception):
    """The console rejected this machine. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Address and command for one engine."""

    number: int
    address: str
    """Address with which the engine registers."""
    arguments: tuple[str, ...]
    """Command that starts the engine."""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedReplicas:
    """The response of the console."""

    replicas: int | None
    idlest: Sequence[str] = ()
    pause: float = PAUSE_SECONDS


@dataclass(slots=True)
class ReplicaProcess:
    """A `serve_model` process of this machine."""

    process: asyncio.subprocess.Process
    since: float
    is_leaving: bool = False


class ReplicaManager:
    """The engines of one pool on this machine."""

    def __init__(
        self, slots: Sequence[Slot], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._slots = {slot.number: slot for slot in slots}
        self._clock = clock
        self._children: dict[int, ReplicaProcess] = {}
        self._crashes: dict[int, int] = {}
        self._not_before: dict[int, float] = {}
        self._taken: set[int] = set()
        self.wanted = 0

    @property
    def room(self) -> int:
        return len(self._slots)

    @property
    def running(self) -> int:
        """Number of engines that are not being stopped."""
        return sum(not child.is_leaving for child in self._children.values())

    async def reconcile(self, wanted: int, *, idlest: Sequence[str]) -> None:
        """Start missing engines, and stop the idlest of surplus ones."""
        self.wanted = max(0, min(wanted, self.room))
        self.reap_exited()
        if self.running < self.wanted:
            for number in self._free()[: self.wanted - self.running]:
                await self._start(self._slots[number])
        for number in self._idlest(idlest)[: max(0, self.running - self.wanted)]:
            self._stop(number)

    def reap_exited(self) -> None:
        """Remove engines that have ended. An unexpected end delays the restart, exponentially if
        it is repeated.
        """
        for number, child in list(self._children.items()):
            if child.process.returncode is None:
                continue
            del self._children[number]
            if child.is_leaving:
                self._crashes.pop(number, None)
                continue
            lived = self._clock() - child.since
            crashes = 0 if lived > STABLE_RUN_SECONDS else self._crashes.get(number, 0)
            self._crashes[number] = crashes + 1
            pause = min(MAX_CRASH_PAUSE_SECONDS, CRASH_PAUSE_SECONDS * 2**crashes)
            self._not_before[number] = self._clock() + pause
            logger.error(
                "scale host: engine ended (engine=%d, code=%s, restart_seconds=%.0f)",
                number,
                child.process.returncode,
                pause,
            )

    def _free(self) -> list[int]:
        now = self._clock()
        due = [
            number
            for number in self._slots
            if number not in self._children and self._not_before.get(number, 0) <= now
        ]
        taken = {number for number in due if is_taken(self._slots[number].address)}
        for number in taken - self._taken:
            logger.warning(
                "scale host: address in use, engine not started (address=%s, engine=%d). "
                "A draining engine of an earlier process may still use it.",
                self._slots[number].address,
                number,
            )
        self._taken = taken
        return [number for number in due if number not in taken]

    def _idlest(self, addresses: Sequence[str]) -> list[int]:
        """Return the running engines, those that have not registered first, then by load."""
        ranks = {address: rank for rank, address in enumerate(addresses)}
        staying = [number for number, child in self._children.items() if not child.is_leaving]
        return sorted(staying, key=lambda number: ranks.get(self._slots[number].address, -1))

    async def _start(self, slot: Slot) -> None:
        child = await asyncio.create_subprocess_exec(
            *slot.arguments,
            env=dict(slot.environment),
            # Ctrl-C must not reach the engines: they are stopped one by one.
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        self._children[slot.number] = ReplicaProcess(child, since=self._clock())
        logger.info("scale host: engine starts (engine=%d, address=%s)", slot.number, slot.address)

    def _stop(self, number: int) -> None:
        child = self._children[number]
        child.is_leaving = True
        logger.info("scale host: engine stops (engine=%d)", number)
        if child.process.returncode is None:
            child.process.send_signal(signal.SIGTERM)

    async def end(self) -> None:
        """Stop all engines, and wait for their end."""
        for number, child in self._children.items():
            if not child.is_leaving:
                self._stop(number)
        await asyncio.gather(*(child.process.wait() for child in self._children.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleHostClient:
    """Client of the console that requests the number of replicas."""

    session: aiohttp.ClientSession
    url: str
    name: str
    token: str = field(repr=False)

    async def fetch_wanted(self, host: ReplicaManager) -> WantedReplicas:
        """Report the engines and return the wanted ones.

        Raises HostRefused, or one of OUTAGES if the console cannot be reached.
        """
        report = {"name": self.name, "running": host.running, "slots": host.room}
        async with self.session.post(
            f"{self.url.rstrip('/')}/internal/v1/replicas",
            json=report,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=TIMEOUT,
        ) as answer:
            if answer.status in REFUSALS:
                raise HostRefused(message_of(await answer.text()))
            if answer.status == 409:  # noqa: PLR2004 - another machine, which may leave
                logger.warning("scale host: not in charge: %s", message_of(await answer.text()))
                return WantedReplicas(replicas=None)
            answer.raise_for_status()
            order = await answer.json()
        return WantedReplicas(
            replicas=order["replicas"], idlest=order["idlest"], pause=order["ask_again_seconds"]
        )


def is_taken(address: str) -> bool:
    """Return whether a process on this machine listens at `address`."""
    place = urlsplit(address)
    try:
        socket.create_server((place.hostname or "", place.port or 80)).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def end_with_parent() -> None:
    """In the child: request SIGTERM at the end of the parent, on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


async def run(host: ReplicaManager, *, url: str, token: str, name: str) -> None:
    """Keep engines until SIGTERM or SIGINT, then stop all. Raises HostRefused."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with aiohttp.ClientSession() as session:
            console = ScaleHostClient(session=session, url=url, token=token, name=name)
            while not stop.is_set():
                pause = await next_pause(host, console)
                await wait_for(stop, seconds=pause)
    finally:
        await host.end()


async def next_pause(host: ReplicaManager, console: ScaleHostClient) -> float:
    """Apply the wanted replicas once. Return the seconds until the next request."""
    try:
        wanted = await console.fetch_wanted(host)
    except OUTAGES as error:
        logger.warning("scale host: console unavailable (error=%s)", type(error).__name__)
        wanted = WantedReplicas(replicas=None)
    keep = host.wanted if wanted.replicas is None else wanted.replicas
    await host.reconcile(keep, idlest=wanted.idlest)
    return wanted.pause


async def wait_for(stop: asyncio.Event, *, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def python_command(*arguments: str) -> tuple[str, ...]:
    """Return a command of `manage.py` for the current interpreter."""
    return (sys.executable, sys.argv[0], *arguments)
