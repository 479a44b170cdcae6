"""uvicorn's server and supervisor, with replacement of workers that have ended."""

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

UNSUPERVISED_DRAIN_SECONDS = 5
"""Time for the responses of a worker whose supervisor was killed."""
UNSUPERVISED_SECONDS = 10
"""After this time such a worker is killed."""
START_SECONDS = 60.0
"""Start timeout of a worker that replaces another one."""
PR_SET_PDEATHSIG = 1


class GatewayServer(Server):
    """One worker. It ends when the process `supervisor` ends."""

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
            self.config.timeout_graceful_shutdown = UNSUPERVISED_DRAIN_SECONDS
            # The kernel ends the process, even if the event loop is blocked.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(UNSUPERVISED_SECONDS)
        super().handle_exit(sig, frame)


class Worker(Process):
    """A worker process of the supervisor. A watcher of its own checks its event loop."""

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
        """Check only the process: uvicorn's ping is answered even if the event loop is blocked."""
        return self.process.is_alive()

    def join(self) -> None:
        super().join()
        if self.pid is not None and os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            # Otherwise its gauges would be exported for as long as the gateway runs.
            mark_process_dead(self.pid)  # type: ignore[no-untyped-call]


class GatewayWorkers(Multiprocess):
    """Several workers that listen on one socket. A worker that ends is replaced."""

    processes: list[Worker]  # type: ignore[assignment]

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self._frozen_loops = FrozenLoops()
        self._backoff: dict[int, Backoff] = {}
        self._due: dict[int, float] = {}
        """Times at which ended workers are replaced."""
        self._has_served = False

    def run(self) -> None:
        """Exit with uvicorn's status of a failed start if no worker has ever served."""
        self._frozen_loops.count()
        super().run()
        if not self._has_served and any(w.exitcode == STARTUP_FAILURE for w in self.processes):
            sys.exit(STARTUP_FAILURE)

    def init_processes(self) -> None:
        self.processes = [self._start_worker() for _ in range(self.processes_num)]

    def terminate_all(self) -> None:
        """Close the socket, which would accept connections that no worker answers."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        """Replace each worker that has ended, with exponential backoff."""
        for place, worker in enumerate(self.processes):
            if worker.is_alive():
                self._has_served = self._has_served or worker.is_ready(timeout=0.1)
            elif place not in self._due:
                self._schedule_replacement(place, worker)
            if self.should_exit.is_set():
                return
            if place in self._due and time.monotonic() >= self._due[place]:
                del self._due[place]
                self.processes[place] = self._start_worker()

    def _schedule_replacement(self, place: int, worker: Worker) -> None:
        worker.kill()  # closes the pipe of uvicorn's pings
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
        """SIGHUP: replace each worker after its successor serves."""
        for place, old in enumerate(self.processes):
            new = self._start_worker()
            timeout = self.config.timeout_worker_healthcheck
            if not new.wait_until_ready(max(timeout, START_SECONDS), self.should_exit):
                new.kill()
                new.join()
                log.error("gateway: a new worker is not ready, so the old ones stay")
                return
            old.terminate()
            old.join()
            self.processes[place] = new

    def handle_ttin(self) -> None:
        """SIGTTIN: start another worker."""
        self.processes_num += 1
        self.processes.append(self._start_worker())

    def _start_worker(self) -> Worker:
        worker = Worker(self.config, self.sockets)
        worker.start()
        return worker


def follow(supervisor: int) -> None:
    """Have the kernel signal this process when `supervisor` ends. Linux only."""
    if sys.platform != "linux":
        return
    # SIGINT ends the worker at once; after SIGTERM it would serve requests for some seconds.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != supervisor:
        sys.exit(1)  # it has ended meanwhile
