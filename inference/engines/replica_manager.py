"""Keeps as many engines on this machine as the console wants: starts, drains and replaces them.

Each has a slot with a port of its own and, if wanted, its own devices. The console is asked; while
it does not answer, everything stays as it is. To let one go means to ask its `serve_model` to end,
which leaves the pool first and then finishes what runs.
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
STEADY_SECONDS = 60.0
"""An engine that lived so long did not fail to start."""
PR_SET_PDEATHSIG = 1
REFUSALS = frozenset({400, 401, 403, 404, 422})


class HostRefused(Exception):
    """The console does not want this machine; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Room for one engine."""

    number: int
    address: str
    """Under which it will register."""
    arguments: tuple[str, ...]
    """The command that starts it."""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the console says."""

    replicas: int | None
    idlest: Sequence[str] = ()
    pause: float = PAUSE_SECONDS


@dataclass(slots=True)
class Child:
    """An engine that was started here."""

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
        self._children: dict[int, Child] = {}
        self._crashes: dict[int, int] = {}
        self._not_before: dict[int, float] = {}
        self._taken: set[int] = set()
        self.wanted = 0

    @property
    def room(self) -> int:
        return len(self._slots)

    @property
    def running(self) -> int:
        """Those that stay; what is leaving does not count."""
        return sum(not child.is_leaving for child in self._children.values())

    async def keep(self, wanted: int, *, idlest: Sequence[str]) -> None:
        """Start what is missing, and let the idlest of those go that are too many."""
        self.wanted = max(0, min(wanted, self.room))
        self.bury()
        if self.running < self.wanted:
            for number in self._free()[: self.wanted - self.running]:
                await self._start(self._slots[number])
        for number in self._idlest(idlest)[: max(0, self.running - self.wanted)]:
            self._let_go(number)

    def bury(self) -> None:
        """Take out engines that have ended; one that was to stay is started again, but not at
        once if it keeps ending.
        """
        for number, child in list(self._children.items()):
            if child.process.returncode is None:
                continue
            del self._children[number]
            if child.is_leaving:
                self._crashes.pop(number, None)
                continue
            lived = self._clock() - child.since
            crashes = 0 if lived > STEADY_SECONDS else self._crashes.get(number, 0)
            self._crashes[number] = crashes + 1
            pause = min(MAX_CRASH_PAUSE_SECONDS, CRASH_PAUSE_SECONDS * 2**crashes)
            self._not_before[number] = self._clock() + pause
            logger.error(
                "engine %d ended with code %s; it is started again in %.0f s",
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
                "%s is in use, maybe by an engine of a machine process that was killed, which "
                "finishes what it does; engine %d starts when it is free",
                self._slots[number].address,
                number,
            )
        self._taken = taken
        return [number for number in due if number not in taken]

    def _idlest(self, addresses: Sequence[str]) -> list[int]:
        """Those that have not registered yet first, then by what they have to do."""
        ranks = {address: rank for rank, address in enumerate(addresses)}
        staying = [number for number, child in self._children.items() if not child.is_leaving]
        return sorted(staying, key=lambda number: ranks.get(self._slots[number].address, -1))

    async def _start(self, slot: Slot) -> None:
        child = await asyncio.create_subprocess_exec(
            *slot.arguments,
            env=dict(slot.environment),
            # Ctrl-C is for us: we say who goes, and when.
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        self._children[slot.number] = Child(child, since=self._clock())
        logger.info("engine %d starts at %s", slot.number, slot.address)

    def _let_go(self, number: int) -> None:
        child = self._children[number]
        child.is_leaving = True
        logger.info("engine %d leaves", number)
        if child.process.returncode is None:
            child.process.send_signal(signal.SIGTERM)

    async def end(self) -> None:
        """Let all go; returns when they have ended."""
        for number, child in self._children.items():
            if not child.is_leaving:
                self._let_go(number)
        await asyncio.gather(*(child.process.wait() for child in self._children.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """Whom the machine asks."""

    session: aiohttp.ClientSession
    url: str
    name: str
    token: str = field(repr=False)

    async def ask(self, host: ReplicaManager) -> Wanted:
        """Raises HostRefused, or one of OUTAGES if the console cannot be asked."""
        said = {"name": self.name, "running": host.running, "slots": host.room}
        async with self.session.post(
            f"{self.url.rstrip('/')}/internal/v1/replicas",
            json=said,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=TIMEOUT,
        ) as answer:
            if answer.status in REFUSALS:
                raise HostRefused(message_of(await answer.text()))
            if answer.status == 409:  # noqa: PLR2004 - another machine, which may leave
                logger.warning("%s", message_of(await answer.text()))
                return Wanted(replicas=None)
            answer.raise_for_status()
            order = await answer.json()
        return Wanted(
            replicas=order["replicas"], idlest=order["idlest"], pause=order["ask_again_seconds"]
        )


def is_taken(address: str) -> bool:
    """Whether somebody of this machine listens there already."""
    place = urlsplit(address)
    try:
        socket.create_server((place.hostname or "", place.port or 80)).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def end_with_parent() -> None:
    """In the child: where the system can (Linux), it is told to end if we are killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


async def run(host: ReplicaManager, *, url: str, token: str, name: str) -> None:
    """Keep engines until a signal says to stop; then let all go. Raises HostRefused."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with aiohttp.ClientSession() as session:
            console = Console(session=session, url=url, token=token, name=name)
            while not stop.is_set():
                pause = await turn(host, console)
                await wait_for(stop, seconds=pause)
    finally:
        await host.end()


async def turn(host: ReplicaManager, console: Console) -> float:
    """Ask once and follow. Returns after how many seconds to ask again."""
    try:
        wanted = await console.ask(host)
    except OUTAGES as error:
        logger.warning("the console does not answer (%s); all stays", type(error).__name__)
        wanted = Wanted(replicas=None)
    keep = host.wanted if wanted.replicas is None else wanted.replicas
    await host.keep(keep, idlest=wanted.idlest)
    return wanted.pause


async def wait_for(stop: asyncio.Event, *, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def python_command(*arguments: str) -> tuple[str, ...]:
    """A command of `manage.py`, run by the interpreter that runs us."""
    return (sys.executable, sys.argv[0], *arguments)
