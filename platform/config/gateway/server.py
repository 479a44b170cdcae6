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
"""Where uvicorn itself hangs up; the socket refuses frames of a quarter of this with a reason."""
FIRST_PROCESS = 1
"""Of a container: nothing inside can end it, so it must not be a worker that may stand still."""
PROTOCOL_OPTIONS: dict[str, Any] = {
    "http": "config.gateway.http_protocol:HttpProtocol",
    "ws": "config.gateway.websocket_protocol:SocketProtocol",
    "ws_max_size": MAX_FRAME_BYTES,
    # A client that does not answer, and so does not read, is gone 40 seconds later at most.
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
    # A compressor would cost each socket more memory than all the rest of it.
    "ws_per_message_deflate": False,
}


def server_options(settings: Any) -> dict[str, Any]:
    """Answers uvicorn's options from the module `config.settings.gateway`."""
    return {
        "host": settings.BIND,
        "port": settings.GATEWAY_PORT,
        "workers": settings.GATEWAY_WORKERS,
        "loop": "uvloop",
        **PROTOCOL_OPTIONS,
        "lifespan": "on",
        "backlog": 4096,
        "timeout_graceful_shutdown": math.ceil(settings.DRAIN_SECONDS),
        "forwarded_allow_ips": settings.TRUSTED_PROXIES,
        "access_log": False,
        # Django's logging configuration holds, with its redaction.
        "log_config": None,
        "server_header": False,
    }


def main() -> None:
    with exit_on_configuration_error():
        from config.settings import gateway as settings

    config = uvicorn.Config("config.gateway.asgi:application", **server_options(settings))
    # Ctrl-C has done its work when it arrives here.
    with contextlib.suppress(KeyboardInterrupt):
        run(config)


def run(config: uvicorn.Config) -> None:
    """As `uvicorn.run`, with our own workers."""
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
