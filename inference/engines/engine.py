"""An engine as its operator sees it: a command to start, an address, names of its metrics."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


class EngineMissing(Exception):
    """The engine is not installed where it was looked for. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    """What is wanted of an engine, whichever kind it is."""

    route: str
    """The model name under which it must answer."""
    model: str
    """A file, a folder or a name that the engine knows how to load."""
    host: str
    port: int
    max_concurrency: int
    credential: str
    """The key that the engine asks of its callers."""
    python: str = ""
    """The interpreter of the engine's own environment; empty: wherever the engine is found."""
    tensor_parallel: int = 1
    """GPUs over which the model is spread; each engine is one endpoint, however many it has."""
    options: Sequence[str] = ()
    """Passed to the engine as they are."""

    @property
    def address(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How to start the process. Secrets go through the environment, which only we can read."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One kind of engine."""

    name: str
    command: Callable[[EngineRequest], Command]
    """Raises EngineMissing."""
    version: Callable[[EngineRequest], str]
    """May take a second."""
    metrics: "MetricNames"
    default_concurrency: int
    reserved: frozenset[str] = frozenset()
    """Options that `serve_model` sets itself, so that nobody passes them on behind its back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricNames:
    """Names that each metric of an engine has had; the first one found counts."""

    running: tuple[str, ...]
    waiting: tuple[str, ...]
    kv_cache_used: tuple[str, ...]
    prompt_tokens: tuple[str, ...]
    generation_tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How busy an engine is. None: it does not tell."""

    running: int
    """Requests that are being answered."""
    waiting: int
    kv_cache_used: float | None = None
    """A share, 0 to 1."""
    prompt_tokens: int | None = None
    """Counted since the engine started."""
    generation_tokens: int | None = None

    def gauges(self) -> dict[str, Any]:
        """What a row keeps of it."""
        return {
            "running": self.running,
            "waiting": self.waiting,
            "kv_cache_used": self.kv_cache_used,
        }

    def as_json(self) -> dict[str, Any]:
        """Without what the engine does not tell."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def read_load(names: MetricNames, *, metrics: str) -> Load:
    """The load out of `/metrics` in Prometheus' text format; 0 requests where it says nothing."""
    values = metric_values(metrics)
    cache = first_known(names.kv_cache_used, values=values)
    prompt = first_known(names.prompt_tokens, values=values)
    generation = first_known(names.generation_tokens, values=values)
    return Load(
        running=int(sum(first_known(names.running, values=values))),
        waiting=int(sum(first_known(names.waiting, values=values))),
        # Each core of an engine has a cache of its own: together they are as full as on average.
        kv_cache_used=min(1.0, sum(cache) / len(cache)) if cache else None,
        prompt_tokens=int(sum(prompt)) if prompt else None,
        generation_tokens=int(sum(generation)) if generation else None,
    )


def metric_values(metrics: str) -> dict[str, list[float]]:
    """The values of all label sets, by metric name. What is no amount does not count."""
    found: dict[str, list[float]] = {}
    for line in metrics.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        series, _, text = line.rpartition(" ")
        try:
            value = float(text)
        except ValueError:
            continue
        if math.isfinite(value) and value >= 0:
            found.setdefault(series.split("{", 1)[0].strip(), []).append(value)
    return found


def first_known(names: Sequence[str], *, values: Mapping[str, list[float]]) -> list[float]:
    return next((values[name] for name in names if name in values), [])
