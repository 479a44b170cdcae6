"""What engines told of their load, for an hour or two: a Redis stream for each endpoint.

Pages draw it and scaling reads it. It is no record: a Redis that is away only leaves a gap.
"""

import json
import logging
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import redis

from inference.engines.engine import Load
from inference.fleet.redis_keys import HISTORY, LOADS
from kernel.storage.shared_values import note_unreadable
from tenants.counters.client import limits

log = logging.getLogger(__name__)

ENTRIES = 720
"""An hour of heartbeats, two hours of probes."""
KEPT_SECONDS = 2 * 3600


def history_key(public_id: str) -> str:
    return HISTORY + public_id


def note_load(*, public_id: str, load: Load, now: datetime) -> None:
    """Append to an endpoint's history. A Redis that does not answer is logged and not waited for.

    Fields: at (seconds since 1970), running, waiting, and where the engine tells them kv (0 to 1),
    prompt_tokens and generation_tokens (counted since its start), and of both the rate since the
    entry before as prompt_tokens_per_second and generation_tokens_per_second.
    """
    key, redis_ = history_key(public_id), limits()
    try:
        last = redis_.xrevrange(key, count=1)
        before = as_text(last[0][1]) if last else {}
        entry = history_entry(load, before=before, at=now.timestamp())
        latest = {name: entry[name] for name in ("at", "running", "waiting", "kv") if name in entry}
        with redis_.pipeline(transaction=False) as pipeline:
            pipeline.xadd(key, entry, maxlen=ENTRIES, approximate=True)
            pipeline.expire(key, KEPT_SECONDS)
            pipeline.hset(LOADS, public_id, json.dumps(latest))
            pipeline.execute()
    except (redis.RedisError, OSError) as error:
        log.warning(
            "load history: write failed (endpoint=%s, error=%s)", public_id, type(error).__name__
        )


def forget_load(*, public_id: str) -> None:
    """Nothing is known any more of an endpoint that is gone."""
    try:
        limits().hdel(LOADS, public_id)
        limits().delete(history_key(public_id))
    except redis.RedisError as error:
        log.warning(
            "load history: not deleted (endpoint=%s, error=%s)", public_id, type(error).__name__
        )


def history_entry(load: Load, *, before: Mapping[str, str], at: float) -> dict[Any, Any]:
    """What is written down of `load`, with rates since the entry `before`. Pure."""
    entry: dict[Any, Any] = {"at": at, "running": load.running, "waiting": load.waiting}
    if load.kv_cache_used is not None:
        entry["kv"] = round(load.kv_cache_used, 4)
    for name in ("prompt_tokens", "generation_tokens"):
        count = getattr(load, name)
        if count is None:
            continue
        entry[name] = count
        then, counted = number_of(before, "at"), number_of(before, name)
        if then is not None and counted is not None and at > then:
            entry[f"{name}_per_second"] = round(grown(int(counted), count) / (at - then), 2)
    return entry


def grown(before: int, now: int) -> int:
    """How much a counter grew. One that is lower than before began again with its engine."""
    return now if now < before else now - before


def as_text(entry: Any) -> dict[str, str]:
    return {
        name.decode(errors="replace"): value.decode(errors="replace")
        for name, value in entry.items()
    }


def number_of(entry: Mapping[str, str], name: str) -> float | None:
    """None if it is not there, or no number: another version or a fault has left it."""
    if name not in entry:
        return None
    try:
        number = float(entry[name])
        if not math.isfinite(number):
            raise ValueError("not finite")
    except ValueError as error:
        note_unreadable("endpoint_sample", error)
        return None
    return number
