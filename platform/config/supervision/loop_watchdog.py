"""The event loop watchdog in a worker, and the metric of blocked event loops."""

import asyncio
import faulthandler
import logging
import os
import subprocess
import sys
from pathlib import Path

from kernel.metrics import frozen_loops

log = logging.getLogger(__name__)

STAMP_SECONDS = 1.0
FROZEN_SECONDS = 10.0
"""After this time without an iteration of the event loop the process is ended."""
WATCHER = Path(__file__).with_name("loop_watcher.py")
RECORD = "frozen_loops"
"""File in the metrics folder, where it survives the process."""


class LoopWatchdog:
    """Ends this process when its event loop is blocked. `start` needs a running loop."""

    def __init__(self) -> None:
        self._watcher: subprocess.Popen[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        faulthandler.enable(all_threads=True)
        self._start_watcher()
        self._stamp()

    def stop(self) -> None:
        """Stop watching, before a regular end of the process."""
        if self._timer is not None:
            self._timer.cancel()
        self._end_watcher()

    def _start_watcher(self) -> None:
        arguments = (str(os.getpid()), f"{FROZEN_SECONDS:g}", str(record_path() or ""))
        log_format = os.environ.get("TENANTRY_LOG_FORMAT", "json")
        self._watcher = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", str(WATCHER), *arguments, log_format],
            stdin=subprocess.PIPE,
        )
        assert self._watcher.stdin is not None
        os.set_blocking(self._watcher.stdin.fileno(), False)

    def _end_watcher(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None and watcher.stdin is not None:
            watcher.stdin.close()
            watcher.wait()

    def _stamp(self) -> None:
        assert self._watcher is not None
        assert self._watcher.stdin is not None
        try:
            os.write(self._watcher.stdin.fileno(), b".")
        except BlockingIOError:
            log.debug("gateway: the watcher of the event loop is stopped")
        except BrokenPipeError:
            log.warning("gateway: the watcher of the event loop ended, and is started again")
            self._end_watcher()
            self._start_watcher()
        self._timer = asyncio.get_running_loop().call_later(STAMP_SECONDS, self._stamp)


class FrozenLoops:
    """Counts the records of watchers in one process of a gateway, so that none counts twice."""

    def __init__(self) -> None:
        self._counted = 0

    def count(self) -> None:
        """Count new records, those of earlier processes included."""
        path = record_path()
        if path is None or not path.exists():
            return
        noted = path.read_bytes().count(b"\n")
        frozen_loops.inc(max(0, noted - self._counted))
        self._counted = noted


def record_path() -> Path | None:
    """Return the path; None if workers do not share metrics."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) / RECORD if folder else None
