"""Preset policies for common cases. Pure.

The target of requests in flight is a share of a replica's concurrency: the rest is reserved for
requests that arrive while the next replica starts. The target of waiting requests is its full
concurrency: a lower one would start many replicas for a queue that the first of them drains.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """The initial values of a policy's form."""

    label: str
    explains: str
    settings: Mapping[str, Any]
    """Fields of the policy that differ from their defaults."""
    signals: tuple[Mapping[str, Any], ...]
    """Fields of each signal; `share` instead of `target` is a share of a replica's concurrency."""


IN_FLIGHT_SHARE = 0.9

PRESETS: Mapping[str, Preset] = {
    "chat": Preset(
        label="Chat: short waits",
        explains="Follows the requests in flight and in queues; scales out fast and in slowly. "
        "The default.",
        settings={"algorithm": "target_tracking"},
        signals=(
            {"kind": "in_flight", "share": IN_FLIGHT_SHARE},
            {"kind": "waiting", "share": 1.0},
        ),
    ),
    "long_context": Preset(
        label="Long prompts: by KV cache",
        explains="Follows the use of the engines' KV caches, the time to first token and the "
        "queues.",
        settings={"algorithm": "target_tracking", "down_window": 600},
        signals=(
            {"kind": "kv_cache", "target": 70.0},
            {"kind": "ttft_p95", "target": 2000.0},
            {"kind": "waiting", "share": 1.0},
        ),
    ),
    "thresholds": Preset(
        label="Classic thresholds",
        explains="Adds a replica when CPU is above 70 %, memory above 80 % or more than 100 "
        "requests wait per replica; removes one when all are below 30 %, 40 % and 20.",
        settings={"algorithm": "thresholds"},
        signals=(
            {"kind": "cpu", "up": 70.0, "down": 30.0},
            {"kind": "memory", "up": 80.0, "down": 40.0},
            {"kind": "waiting", "up": 100.0, "down": 20.0},
        ),
    ),
    "step": Preset(
        label="Doubling",
        explains="Doubles the replicas when more than 50 requests wait per replica, halves them "
        "when fewer than 10 do. For large batches.",
        settings={"algorithm": "step"},
        signals=({"kind": "waiting", "up": 50.0, "down": 10.0},),
    ),
    "occasional": Preset(
        label="Occasional: scales to zero",
        explains="As chat, but scales to zero after 15 minutes without a request. The next request "
        "starts a replica and is answered with 503 and Retry-After.",
        settings={"algorithm": "target_tracking", "idle_seconds": 900},
        signals=(
            {"kind": "in_flight", "share": IN_FLIGHT_SHARE},
            {"kind": "waiting", "share": 1.0},
        ),
    ),
}
DEFAULT = "chat"


def signals_for(preset: Preset, *, slots: float) -> tuple[dict[str, Any], ...]:
    """Return the fields of each signal; `slots` is the concurrency of a replica in requests."""
    return tuple(
        {"kind": each["kind"], "target": max(1.0, round(each["share"] * slots, 1))}
        if "share" in each
        else dict(each)
        for each in preset.signals
    )
