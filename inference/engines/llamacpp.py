"""llama.cpp: small models on a CPU, installed as a wheel."""

import sys
from importlib import metadata

from inference.engines.engine import Engine, EngineCommand, EngineRequest, MetricNames

CREDENTIAL_VARIABLE = "TENANTRY_ENGINE_CREDENTIAL"


def build_command(request: EngineRequest) -> EngineCommand:
    arguments = {
        "--model": request.model,
        "--alias": request.route,
        "--host": request.host,
        "--port": str(request.port),
        "--parallel": str(request.max_concurrency),
    }
    flat = (part for option in arguments.items() for part in option)
    module = "inference.engines.llamacpp_server"
    return EngineCommand(
        arguments=(sys.executable, "-m", module, *flat, *request.options),
        environment={CREDENTIAL_VARIABLE: request.credential},
    )


def read_version(request: EngineRequest) -> str:
    return metadata.version("xllamacpp")


LLAMACPP = Engine(
    name="llamacpp",
    command=build_command,
    version=read_version,
    metrics=MetricNames(
        running=("llamacpp:requests_processing",),
        waiting=("llamacpp:requests_deferred",),
        # No longer reported since all slots share one cache.
        kv_cache_used=("llamacpp:kv_cache_usage_ratio",),
        prompt_tokens=("llamacpp:prompt_tokens_total",),
        generation_tokens=("llamacpp:tokens_predicted_total",),
    ),
    default_concurrency=4,
    reserved=frozenset({"--model", "--alias", "--host", "--port", "--parallel"}),
)
