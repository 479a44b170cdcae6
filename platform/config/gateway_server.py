"""The gateway's process: uvicorn with the limits that the gateway relies on."""

import math
from typing import Any

import uvicorn

from config.edge import configuration_errors_as_sentences

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""Where uvicorn itself hangs up; the socket refuses frames of a quarter of this with a reason."""
MAX_QUEUED_FRAMES = 32


def server_options(settings: Any) -> dict[str, Any]:
    """Answers uvicorn's options from the module `config.settings.gateway`."""
    return {
        "host": settings.BIND,
        "port": settings.GATEWAY_PORT,
        "workers": settings.GATEWAY_WORKERS,
        "loop": "uvloop",
        "http": "httptools",
        # The only one of uvicorn's socket protocols with flow control towards slow readers.
        "ws": "websockets-sansio",
        "ws_max_size": MAX_FRAME_BYTES,
        "ws_max_queue": MAX_QUEUED_FRAMES,
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
    with configuration_errors_as_sentences():
        from config.settings import gateway as settings

    uvicorn.run("config.gateway:application", **server_options(settings))


if __name__ == "__main__":
    main()
