"""Runs an engine, and sees to it that none of its processes outlives `serve_model`.

A small process between the two, so that this holds however `serve_model` ends, SIGKILL included.
Its standard input is a pipe from `serve_model`: the end of that pipe is the order to end the
engine. It is run as a file by an interpreter without site packages, and imports nothing of ours.
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
"""For the engine to end by itself when it is asked to."""
LINGER_SECONDS = 1.0
"""For what the engine started to end by itself when the engine has ended."""
POLL_SECONDS = 0.05
SIGNALLED = 128
"""Added to the number of the signal that ended the engine, as shells do."""


def main(command: Sequence[str]) -> int:
    """Returns the engine's exit code when all of its processes have ended."""
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
    return code if code >= 0 else SIGNALLED - code


def ignore_signal(*_: object) -> None:
    """Whoever signals everybody at once has reached the engine, too; we wait for its end."""


def end_with_parent(engine: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    # Only the first process: vLLM ends the others itself, in the order that it needs.
    engine.terminate()
    time.sleep(GRACE_SECONDS)
    signal_group(engine.pid, signal.SIGKILL)


def kill_group(group: int) -> None:
    """A first process that is killed leaves its others behind; vLLM's hold the memory."""
    give_up = time.monotonic() + LINGER_SECONDS
    while signal_group(group, 0) and time.monotonic() < give_up:
        time.sleep(POLL_SECONDS)
    signal_group(group, signal.SIGKILL)


def signal_group(group: int, number: int) -> bool:
    """False if there is no such group any more."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
