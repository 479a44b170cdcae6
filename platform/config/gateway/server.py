"""The gateway's process: uvicorn with the limits that the gateway relies on."""

import contextlib
import math
import os
import sys
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from config.error_exit import exit_on_configuration_error
from config.supervision.gateway_workers import GatewayServer, GatewayWorkers
from config.supervision.loop_watchdog import FrozenLoops

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""uvicorn closes the socket for a larger frame. The door refuses frames above a quarter of it."""
FIRST_PROCESS = 1
"""The first process of a container cannot be killed from inside, so it must not be a worker, whose
event loop may hang."""
PROTOCOL_OPTIONS: dict[str, Any] = {
    "http": "config.gateway.http_protocol:HttpProtocol",
    "ws": "config.gateway.websocket_protocol:SocketProtocol",
    "ws_max_size": MAX_FRAME_BYTES,
    # The application does it, by the rule of the console (config.trusted_proxies).
    "proxy_headers": False,
    # A client that does not answer pings is disconnected after at most 40 seconds.
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
    # Compression would need more memory per socket than everything else.
    "ws_per_message_deflate": False,
}


def server_options(settings: Any) -> dict[str, Any]:
    """Uvicorn's options, from the module `config.settings.gateway`."""
    return {
        "host": settings.BIND,
        "port": settings.GATEWAY_PORT,
        "workers": settings.GATEWAY_WORKERS,
        "loop": "uvloop",
        **PROTOCOL_OPTIONS,
        "lifespan": "on",
        "backlog": 4096,
        "timeout_graceful_shutdown": math.ceil(settings.DRAIN_SECONDS),
        "access_log": False,
        # Django's logging configuration is used, with its redaction.
        "log_config": None,
        "server_header": False,
    }


def main() -> None:
    with exit_on_configuration_error():
        from config.settings import gateway as settings

    config = uvicorn.Config("config.gateway.asgi:application", **server_options(settings))
    # uvicorn has handled Ctrl-C before this exception is raised.
    with contextlib.suppress(KeyboardInterrupt):
        run(config)


def run(config: uvicorn.Config) -> None:
    """Run the server like `uvicorn.run`, with the platform's own workers."""
    if config.workers > 1 or os.getpid() == FIRST_PROCESS:
        GatewayWorkers(config, sockets=[config.bind_socket()]).run()
        return
    FrozenLoops().count()
    server = GatewayServer(config)
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    main()
