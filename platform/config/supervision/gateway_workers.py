"""uvicorn's server and supervisor, with workers that are replaced and that leave nothing behind."""

import ctypes
import logging
import os
import signal
import sys
import time
from socket import socket
from types import FrameType

from prometheus_client.multiprocess import mark_process_dead
from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from config.supervision.loop_watchdog import FrozenLoops, LoopWatchdog
from kernel.backoff import Backoff

log = logging.getLogger(__name__)

ORPHAN_DRAIN_SECONDS = 5
"""For the answers of a worker whose supervisor was killed; it does not listen any more."""
ORPHAN_SECONDS = 10
"""After that it has ended, whatever it does."""
START_SECONDS = 60.0
"""For a worker that is to take another one's place."""
PR_SET_PDEATHSIG = 1


class GatewayServer(Server):
    """One worker. `supervisor` is the process whose end it follows."""

    def __init__(self, config: Config, *, supervisor: int | None = None) -> None:
        super().__init__(config)
        self._supervisor = supervisor
        self._watchdog = LoopWatchdog()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self._watchdog.start()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._watchdog.stop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._supervisor is not None and os.getppid() != self._supervisor:
            self.config.timeout_graceful_shutdown = ORPHAN_DRAIN_SECONDS
            # The kernel's own doing ends it, so nothing here can be late.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(ORPHAN_SECONDS)
        super().handle_exit(sig, frame)


class Worker(Process):
    """A process of the supervisor's. Whether its event loop turns is its own watcher's to say."""

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        self._supervisor = os.getpid()
        self.started = time.monotonic()
        super().__init__(config, sockets)

    def target(self, sockets: list[socket] | None = None) -> None:
        follow(self._supervisor)
        super().target(sockets)

    @property
    def server(self) -> Server:
        if self._server is None:
            self._server = GatewayServer(self.config, supervisor=self._supervisor)
        return self._server

    def is_alive(self, timeout: float = 5) -> bool:
        """A thread answers pings, whatever the event loop does: so they are not asked here."""
        return self.process.is_alive()

    def join(self) -> None:
        super().join()
        if self.pid is not None and os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            # What it held is gone: else its gauges would stay for as long as the gateway runs.
            mark_process_dead(self.pid)  # type: ignore[no-untyped-call]


class GatewayWorkers(Multiprocess):
    """Several workers that listen on one socket. A worker that ends is replaced."""

    processes: list[Worker]  # type: ignore[assignment]

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self._frozen_loops = FrozenLoops()
        self._backoff: dict[int, Backoff] = {}
        self._due: dict[int, float] = {}
        """When the place of a worker that ended is filled again."""
        self._has_served = False

    def run(self) -> None:
        """Exits with uvicorn's status of a failed start if no worker has ever served."""
        self._frozen_loops.count()
        super().run()
        if not self._has_served and any(w.exitcode == STARTUP_FAILURE for w in self.processes):
            sys.exit(STARTUP_FAILURE)

    def init_processes(self) -> None:
        self.processes = [self._start_worker() for _ in range(self.processes_num)]

    def terminate_all(self) -> None:
        """Left open here, the socket would take connections that no worker answers any more."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        """Replace each worker that has ended; with a pause if it ends again and again."""
        for place, worker in enumerate(self.processes):
            if worker.is_alive():
                self._has_served = self._has_served or worker.is_ready(timeout=0.1)
            elif place not in self._due:
                self._bury(place, worker)
            if self.should_exit.is_set():
                return
            if place in self._due and time.monotonic() >= self._due[place]:
                del self._due[place]
                self.processes[place] = self._start_worker()

    def _bury(self, place: int, worker: Worker) -> None:
        worker.kill()  # closes what it was asked over
        worker.join()
        self._frozen_loops.count()
        if worker.exitcode == STARTUP_FAILURE and not self._has_served:
            # It would fail in the same way each time.
            log.error("gateway: a worker could not start, so all stop (pid=%s)", worker.pid)
            self.should_exit.set()
            return
        lived = time.monotonic() - worker.started
        pause = self._backoff.setdefault(place, Backoff()).pause(lived=lived)
        self._due[place] = time.monotonic() + pause
        values = (worker.pid, worker.exitcode, pause)
        log.error("gateway: a worker ended (pid=%s, exit_code=%s, starts_again_in=%g s)", *values)

    def restart_all(self) -> None:
        """SIGHUP: each worker gives its place to a new one that serves already."""
        for place, old in enumerate(self.processes):
            new = self._start_worker()
            patience = self.config.timeout_worker_healthcheck
            if not new.wait_until_ready(max(patience, START_SECONDS), self.should_exit):
                new.kill()
                new.join()
                log.error("gateway: a new worker is not ready, so the old ones stay")
                return
            old.terminate()
            old.join()
            self.processes[place] = new

    def handle_ttin(self) -> None:
        """SIGTTIN: one worker more."""
        self.processes_num += 1
        self.processes.append(self._start_worker())

    def _start_worker(self) -> Worker:
        worker = Worker(self.config, self.sockets)
        worker.start()
        return worker


def follow(supervisor: int) -> None:
    """Have this process told to end when `supervisor` ends, however that happens. Linux only."""
    if sys.platform != "linux":
        return
    # SIGINT: it ends at once, while SIGTERM would first go on serving for a while.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != supervisor:
        sys.exit(1)  # it has ended meanwhile
