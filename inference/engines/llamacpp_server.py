"""A process that serves one model with llama.cpp.

It is a separate process, because llama.cpp's server may crash the process that it runs in.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.engines.llamacpp import CREDENTIAL_VARIABLE

CONTEXT_PER_SLOT = 2048
"""Tokens of prompt and completion together, per concurrent request."""


def read_arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="llamacpp_server")
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--parallel", default=4, type=int)
    parser.add_argument("--context-length", default=CONTEXT_PER_SLOT, type=int)
    parser.add_argument("--threads", default=0, type=int)
    return parser.parse_args(argv)


def server_parameters(given: argparse.Namespace, *, credential: str) -> Any:
    """Return llama.cpp's parameters for the arguments of the command line."""
    from xllamacpp import CommonParams, llama_pooling_type

    parameters = CommonParams()
    parameters.model.path = str(given.model)
    parameters.model_alias = {given.alias}
    parameters.hostnames = [given.host]
    parameters.port = given.port
    parameters.n_parallel = given.parallel
    # llama.cpp divides its context evenly between the slots.
    parameters.n_ctx = given.context_length * given.parallel
    parameters.endpoint_metrics = True
    # Enables /v1/embeddings beside the chat; a chat model has no pooling of its own. A text may
    # have 512 tokens, llama.cpp's batch; a batch as large as the context takes 800 MB more.
    parameters.embedding = True
    parameters.pooling_type = llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    parameters.api_keys = [credential] if credential else []
    parameters.ui = False
    if given.threads:
        parameters.cpuparams.n_threads = given.threads
    return parameters


def main() -> None:
    given = read_arguments(sys.argv[1:])
    if not given.model.is_file():
        sys.exit(f"There is no model file {given.model}. Give the path of a .gguf file.")
    from xllamacpp import Server

    server = Server(server_parameters(given, credential=os.environ.get(CREDENTIAL_VARIABLE, "")))
    print(f"serving {given.alias} at {server.listening_address}", flush=True)  # noqa: T201
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    # llama.cpp's threads may still be generating; there is nothing to save.
    os._exit(0)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
