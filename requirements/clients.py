"""Makes environments with client libraries of others; nothing if they are there.

Usage: python3 requirements/clients.py [COMMAND …]

A command that is given runs afterwards, with variables that name the interpreters.

For the tests with client libraries. Two environments from two locks, since not all libraries agree
on one version of `openai`; about 1.5 GB, and a minute or two the first time. They live in
TENANTRY_CLIENTS_FOLDER, else under ~/.cache/tenantry, with a file `env` that names what was made.
Where there is a Node with npm, its libraries and Codex (0.4 GB) are installed beside their tests.
Runs after `make dev`, which brings uv.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from install import environment, say

FOLDER = Path(__file__).resolve().parent
CHECKOUT = FOLDER.parent
OURS = CHECKOUT / ".venv" / "bin" / "python"
JS = CHECKOUT / "tests" / "with_clients" / "js"
LOCKS = {
    "TENANTRY_CLIENTS_PYTHON": FOLDER / "clients.txt",
    "TENANTRY_CLIENTS_OPENAI2_PYTHON": FOLDER / "clients_openai2.txt",
}
NPM = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
NEEDED_GB = 3


def main() -> None:
    folder = chosen_folder()
    make(folder)
    make_for_node()
    if command := sys.argv[1:]:
        lines = (folder / "env").read_text(encoding="utf-8").splitlines()
        variables = dict(line.split("=", 1) for line in lines)
        os.execve(command[0], command, {**os.environ, **variables})  # noqa: S606 - the caller's own


def chosen_folder() -> Path:
    if named := os.environ.get("TENANTRY_CLIENTS_FOLDER"):
        return Path(named).resolve()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tenantry" / f"clients-{fingerprint()[:12]}"


def fingerprint() -> str:
    """Changes with the locks and with the Python that the environments are made of."""
    parts = [sys.version.encode(), *(lock.read_bytes() for lock in LOCKS.values())]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def make(folder: Path) -> None:
    """Returns when everything is there; ends with a sentence where it cannot be had."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".being-made").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        wanted = fingerprint()
        stamp = folder / ".installed"
        if stamp.exists() and stamp.read_text("utf-8") == wanted:
            say(f"The client libraries are in {folder}.")
            return
        require_room(folder)
        started = time.monotonic()
        pythons = {name: make_environment(folder, lock) for name, lock in LOCKS.items()}
        lines = "".join(f"{name}={python}\n" for name, python in pythons.items())
        (folder / "env").write_text(lines, encoding="utf-8")
        stamp.write_text(wanted, encoding="utf-8")
        say(f"Made the client libraries in {folder} in {time.monotonic() - started:.0f} s.")


def require_room(folder: Path) -> None:
    """Ends with a sentence where it would not fit."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < NEEDED_GB:
        sys.exit(f"{folder} has {free:.1f} GB left; the client libraries need {NEEDED_GB} GB.")
    if not OURS.exists():
        sys.exit(f"{OURS.parent.parent.name} is not there. Run `make dev` first.")


def make_environment(folder: Path, lock: Path) -> Path:
    """The interpreter of an environment with what is locked."""
    python = folder / lock.stem / "bin" / "python"
    if not python.exists():
        run(sys.executable, "-m", "venv", folder / lock.stem)
    count = sum("==" in line for line in lock.read_text("utf-8").splitlines())
    say(f"Installing {count} packages of {lock.name} ...")
    uv = (OURS, "-m", "uv", "pip", "install", "--system-certs", "--quiet", "--python", python)
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    exact = ("--require-hashes", "-r", lock)
    if succeeds(*uv, *exact):
        return python
    say("uv could not do it; the lines above say why. pip tries it now.")
    run(*pip, *exact)
    return python


def make_for_node() -> None:
    """Says so where it cannot be had: those tests are skipped then."""
    if not (shutil.which("node") and shutil.which("npm")):
        say("There is no Node with npm here: the tests with its client libraries are skipped.")
        return
    wanted = hashlib.sha256((JS / "package-lock.json").read_bytes()).hexdigest()
    stamp = JS / "node_modules" / ".installed"
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    say("Installing the client libraries of Node ...")
    done = subprocess.run(NPM, cwd=JS, check=False)  # noqa: S603 - our own command
    if done.returncode:
        say("npm could not do it: the tests with its client libraries are skipped.")
        return
    stamp.write_text(wanted, encoding="utf-8")


def succeeds(*command: object) -> bool:
    arguments = [str(part) for part in command]
    done = subprocess.run(arguments, check=False, env=environment())  # noqa: S603 - our own command
    return done.returncode == 0


def run(*command: object) -> None:
    """Ends this program if the command fails; it has said why."""
    if not succeeds(*command):
        names = " ".join(str(part) for part in command[:6])
        sys.exit(f"The client libraries cannot be installed here: {names} … failed.")


if __name__ == "__main__":
    main()
