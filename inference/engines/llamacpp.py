"""llama.cpp: small models on a CPU, out of a wheel."""

import sys
from importlib import metadata

from inference.engines.engine import Command, Engine, EngineRequest, MetricNames

CREDENTIAL_VARIABLE = "TENANTRY_ENGINE_CREDENTIAL"


def build_command(request: EngineRequest) -> Command:
    arguments = {
        "--model": request.model,
        "--alias": request.route,
        "--host": request.host,
        "--port": str(request.port),
        "--parallel": str(request.max_concurrency),
    }
    flat = (part for option in arguments.items() for part in option)
    module = "inference.engines.llamacpp_server"
    return Command(
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
        # Not told any more since its cache is one for all slots.
        kv_cache_used=("llamacpp:kv_cache_usage_ratio",),
        prompt_tokens=("llamacpp:prompt_tokens_total",),
        generation_tokens=("llamacpp:tokens_predicted_total",),
    ),
    default_concurrency=4,
    reserved=frozenset({"--model", "--alias", "--host", "--port", "--parallel"}),
)
