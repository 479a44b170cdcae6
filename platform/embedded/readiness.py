"""Checks which parts of the stack are ready."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

PROBE_TIMEOUT_SECONDS = 2.0
PARTS = ("console", "gateway", "local model")


def ready_parts(addresses: Mapping[str, str]) -> set[str]:
    """Return those of PARTS that are ready now."""
    ready = set()
    if get(f"{addresses['TENANTRY_CONSOLE_URL']}/admin/login/"):
        ready.add("console")
    answer = get(f"{addresses['TENANTRY_GATEWAY_URL']}/readyz")
    if answer:
        ready.add("gateway")
        engines: dict[str, Any] = json.loads(answer)["checks"]["engines"]
        if engines["status"] == "up":
            ready.add("local model")
    return ready


def get(url: str) -> bytes:
    """Return the body of a successful response; empty after a failure."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_SECONDS) as answer:  # noqa: S310 - a local address
            body: bytes = answer.read()
            return body
    except (urllib.error.URLError, OSError):
        return b""
