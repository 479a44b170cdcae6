"""The recent load of each engine, in one Redis stream per endpoint.

Pages draw it; the last entries are also in one hash for the gateways. It is not durable: an outage
of Redis leaves a gap.
"""

import json
import logging
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import redis

from inference.engines.engine import EngineLoad
from inference.fleet.redis_keys import HISTORY, LOADS
from kernel.storage.shared_values import note_unreadable
from tenants.counters.client import limits

log = logging.getLogger(__name__)

MAX_ENTRIES = 720
"""Entries of a stream: an hour of heartbeats, or two hours of probes."""
HISTORY_TTL_SECONDS = 2 * 3600


def history_key(public_id: str) -> str:
    return HISTORY + public_id


def record_load(*, public_id: str, load: EngineLoad, now: datetime) -> None:
    """Append to an endpoint's history. A failure of Redis is logged, and the entry is lost.

    Fields: at (seconds since 1970), running, waiting, and if the engine reports them kv (0 to 1),
    prompt_tokens and generation_tokens (counted since its start), and their rates since the
    previous entry as prompt_tokens_per_second and generation_tokens_per_second.
    """
    key, redis_ = history_key(public_id), limits()
    try:
        last = redis_.xrevrange(key, count=1)
        before = as_text(last[0][1]) if last else {}
        entry = history_entry(load, before=before, at=now.timestamp())
        latest = {name: entry[name] for name in ("at", "running", "waiting", "kv") if name in entry}
        with redis_.pipeline(transaction=False) as pipeline:
            pipeline.xadd(key, entry, maxlen=MAX_ENTRIES, approximate=True)
            pipeline.expire(key, HISTORY_TTL_SECONDS)
            pipeline.hset(LOADS, public_id, json.dumps(latest))
            pipeline.execute()
    except (redis.RedisError, OSError) as error:
        log.warning(
            "load history: write failed (endpoint=%s, error=%s)", public_id, type(error).__name__
        )


def delete_load(*, public_id: str) -> None:
    """Delete the history of an endpoint that is gone. A failure of Redis is logged."""
    try:
        limits().hdel(LOADS, public_id)
        limits().delete(history_key(public_id))
    except redis.RedisError as error:
        log.warning(
            "load history: not deleted (endpoint=%s, error=%s)", public_id, type(error).__name__
        )


def history_entry(load: EngineLoad, *, before: Mapping[str, str], at: float) -> dict[Any, Any]:
    """Return the entry for `load`, with rates since the entry `before`. Pure."""
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
            entry[f"{name}_per_second"] = round(
                counter_increase(int(counted), count) / (at - then), 2
            )
    return entry


def counter_increase(before: int, now: int) -> int:
    """Return the increase of a counter. A lower value means that the engine restarted at 0."""
    return now if now < before else now - before


def as_text(entry: Any) -> dict[str, str]:
    return {
        name.decode(errors="replace"): value.decode(errors="replace")
        for name, value in entry.items()
    }


def number_of(entry: Mapping[str, str], name: str) -> float | None:
    """Return a field as a number; None if it is absent or not a finite number."""
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
