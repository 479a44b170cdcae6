"""Policies for the common cases, to begin with. Pure.

Of requests in flight a replica should have a share of what it takes: the rest is room for what
comes while the next one starts. As many may wait as it takes: fewer would order a crowd of
replicas for a queue that the first of them works off.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What is filled in; everything can be changed afterwards."""

    label: str
    explains: str
    settings: Mapping[str, Any]
    """Fields of the policy that differ from their defaults."""
    signals: tuple[Mapping[str, Any], ...]
    """Each as the fields of a signal, but `share` for a target that depends on the pool."""


ROOMY = 0.9

PRESETS: Mapping[str, Preset] = {
    "chat": Preset(
        label="Chat: short waits",
        explains="As many replicas as requests in flight and waiting need, quick to grow and slow "
        "to shrink. The one to begin with.",
        settings={"algorithm": "target_tracking"},
        signals=(
            {"kind": "in_flight", "share": ROOMY},
            {"kind": "waiting", "share": 1.0},
        ),
    ),
    "long_context": Preset(
        label="Long prompts: by KV cache",
        explains="Goes by how full the engines' KV caches are, and by the time to the first token.",
        settings={"algorithm": "target_tracking", "down_window": 600},
        signals=(
            {"kind": "kv_cache", "target": 70.0},
            {"kind": "ttft_p95", "target": 2000.0},
            {"kind": "waiting", "share": 1.0},
        ),
    ),
    "thresholds": Preset(
        label="Classic thresholds",
        explains="One more when CPU is above 70 %, memory above 80 % or more than 100 requests "
        "wait per replica; one fewer when all are below 30 %, 40 % and 20.",
        settings={"algorithm": "thresholds"},
        signals=(
            {"kind": "cpu", "up": 70.0, "down": 30.0},
            {"kind": "memory", "up": 80.0, "down": 40.0},
            {"kind": "waiting", "up": 100.0, "down": 20.0},
        ),
    ),
    "step": Preset(
        label="Doubling",
        explains="Doubles when more than 50 requests wait per replica, halves when fewer than 10 "
        "do. For batches that come in bulk.",
        settings={"algorithm": "step"},
        signals=({"kind": "waiting", "up": 50.0, "down": 10.0},),
    ),
    "occasional": Preset(
        label="Occasional: rests at zero",
        explains="As chat, but goes to zero after 15 minutes without a request; the first request "
        "after that is told to come back in a moment, and wakes it.",
        settings={"algorithm": "target_tracking", "idle_seconds": 900},
        signals=(
            {"kind": "in_flight", "share": ROOMY},
            {"kind": "waiting", "share": 1.0},
        ),
    ),
}
DEFAULT = "chat"


def signals_for(preset: Preset, *, slots: float) -> tuple[dict[str, Any], ...]:
    """The fields of each signal, where a replica takes so many requests at once."""
    return tuple(
        {"kind": each["kind"], "target": max(1.0, round(each["share"] * slots, 1))}
        if "share" in each
        else dict(each)
        for each in preset.signals
    )
