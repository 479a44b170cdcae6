"""The result of a probe that an operator requested, for pages and the API."""

import time
from dataclasses import dataclass

from inference.models import ModelEndpoint
from inference.probes import service as probes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """Result of one probe."""

    healthy: bool
    detail: str
    """Result as text for operators; of a failure also what it may mean."""
    milliseconds: float
    """Duration of the probe."""


def probe_endpoint(endpoint: ModelEndpoint) -> ProbeAnswer:
    """Probe an endpoint from this process and return the result, which changes no state.

    A dead endpoint is a result, not an error.
    """
    began = time.monotonic()
    found = probes.probe_now(endpoint=endpoint)
    took = 1000 * (time.monotonic() - began)
    detail = found.note if found.good else explain_failure(found.note, endpoint=endpoint)
    return ProbeAnswer(healthy=found.good, detail=detail, milliseconds=round(took, 1))


def explain_failure(note: str, *, endpoint: ModelEndpoint) -> str:
    """Return a failure beside the last probe of Celery's worker, which decides about the state."""
    workers = (
        f"The worker's last probe: {endpoint.probe_note}."
        if endpoint.probe_note
        else "The worker has not probed it yet."
    )
    return (
        f"{note}. {workers} This probe came from the console and does not count: the state is "
        f"still {endpoint.state}. If only the console fails, a network policy may not let it "
        "connect to engines."
    )
