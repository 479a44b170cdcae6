"""Whether the whole stack answers: the one question that `up` waits on."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

PROBE_SECONDS = 2.0
PARTS = ("console", "gateway", "local model")


def ready_parts(addresses: Mapping[str, str]) -> set[str]:
    """Those of PARTS that answer now."""
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
    """The body of a successful answer; empty without one."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS) as answer:  # noqa: S310 - our own
            body: bytes = answer.read()
            return body
    except (urllib.error.URLError, OSError):
        return b""
