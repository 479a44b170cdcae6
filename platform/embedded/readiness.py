"""Whether the whole stack answers: the one question that `up` waits on."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

PROBE_SECONDS = 2.0


def missing_part(addresses: Mapping[str, str], *, model_ready: Path) -> str:
    """The first part that is not ready yet; empty when all are. `model_ready` exists when it is."""
    if not answers(f"{addresses['TENANTRY_CONSOLE_URL']}/admin/login/"):
        return "console"
    if not model_ready.exists():
        return "model"
    if not answers(f"{addresses['TENANTRY_GATEWAY_URL']}/readyz"):
        return "gateway"
    return ""


def answers(url: str) -> bool:
    """Whether a GET is answered with success."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS) as answer:  # noqa: S310 - our own
            return bool(answer.status < 400)  # noqa: PLR2004 - the first status that is no success
    except (urllib.error.URLError, OSError):
        return False
