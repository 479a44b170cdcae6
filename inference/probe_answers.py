"""What came of a probe that somebody asked for, as pages and the API tell it."""

from dataclasses import dataclass

from inference import probing
from inference.models import ModelEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """One probe."""

    healthy: bool
    detail: str
    """In words, for operators."""
    milliseconds: float | None


def ask_now(endpoint: ModelEndpoint) -> ProbeAnswer:
    """Probe an endpoint and wait for what comes of it; a dead one is an answer, not an error."""
    probed = probing.probe_now(endpoint)
    return ProbeAnswer(
        healthy=probed.healthy, detail=probed.detail, milliseconds=probed.milliseconds
    )
