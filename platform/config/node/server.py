"""The process of an agent node: uvicorn with the node's health checks."""

import contextlib
from typing import Any

import uvicorn

from config.error_exit import exit_on_configuration_error
from config.gateway.server import run, server_options


def node_options(settings: Any) -> dict[str, Any]:
    """Uvicorn's options, from the module `config.settings.node`."""
    return {**server_options(settings), "port": settings.NODE_PORT, "workers": 1}


def main() -> None:
    with exit_on_configuration_error():
        from config.settings import node as settings

    config = uvicorn.Config("config.node.asgi:application", **node_options(settings))
    # uvicorn has handled Ctrl-C before this exception is raised.
    with contextlib.suppress(KeyboardInterrupt):
        run(config)


if __name__ == "__main__":
    main()
