"""Runs an engine, and ends all of its processes when `serve_model` ends.

This is a separate process between the two, so that it works however `serve_model` ends, also by
SIGKILL. Its standard input is a pipe from `serve_model`; when the pipe is closed, it ends the
engine. It runs as a file in an interpreter without site packages, and imports nothing of Tenantry.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

GRACE_SECONDS = 10.0
"""Seconds between SIGTERM and SIGKILL."""
LINGER_SECONDS = 1.0
"""Seconds for the engine's child processes to end after the engine has ended."""
POLL_SECONDS = 0.05
SIGNAL_EXIT_BASE = 128
"""Added to the number of the signal that ended the engine, as in shells."""


def main(command: Sequence[str]) -> int:
    """Run the engine. Return its exit code when all of its processes have ended."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Not SIG_IGN: the engine would inherit it, and ignore the signal too.
        signal.signal(number, ignore_signal)
    try:
        engine = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}.\n")
        return 1
    threading.Thread(target=end_with_parent, args=(engine,), daemon=True).start()
    code = engine.wait()
    kill_group(engine.pid)
    return code if code >= 0 else SIGNAL_EXIT_BASE - code


def ignore_signal(*_: object) -> None:
    """Ignore a signal. One sent to all processes reaches the engine too, and its end is awaited."""


def end_with_parent(engine: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    # Only the first process: vLLM ends its children itself, in the required order.
    engine.terminate()
    time.sleep(GRACE_SECONDS)
    signal_group(engine.pid, signal.SIGKILL)


def kill_group(group: int) -> None:
    """End the remaining processes of a group. If vLLM is killed, they still hold GPU memory."""
    give_up = time.monotonic() + LINGER_SECONDS
    while signal_group(group, 0) and time.monotonic() < give_up:
        time.sleep(POLL_SECONDS)
    signal_group(group, signal.SIGKILL)


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group. Return False if the group does not exist."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
