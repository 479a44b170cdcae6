"""Whether the whole stack answers: the one question that `up` waits on."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

PROBE_SECONDS = 2.0


def missing_part(addresses: Mapping[str, str]) -> str:
    """The first part that is not ready yet; empty when all are."""
    if not get(f"{addresses['TENANTRY_CONSOLE_URL']}/admin/login/"):
        return "console"
    answer = get(f"{addresses['TENANTRY_GATEWAY_URL']}/readyz")
    if not answer:
        return "gateway"
    engines: dict[str, Any] = json.loads(answer)["checks"]["engines"]
    return "" if engines["status"] == "up" else "local model"


def get(url: str) -> bytes:
    """The body of a successful answer; empty without one."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS) as answer:  # noqa: S310 - our own
            body: bytes = answer.read()
            return body
    except (urllib.error.URLError, OSError):
        return b""
