"""What came of a probe that somebody asked for, as pages and the API tell it."""

import time
from dataclasses import dataclass

from inference.models import ModelEndpoint
from inference.probes import service as probes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """One probe."""

    healthy: bool
    detail: str
    """A sentence for operators."""
    milliseconds: float
    """That it took."""


def ask_now(endpoint: ModelEndpoint) -> ProbeAnswer:
    """Probe an endpoint and wait for what comes of it; a dead one is an answer, not an error."""
    began = time.monotonic()
    found = probes.probe_now(endpoint=endpoint)
    took = 1000 * (time.monotonic() - began)
    return ProbeAnswer(healthy=found.good, detail=found.note, milliseconds=round(took, 1))
