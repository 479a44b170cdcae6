"""The interface of an engine: its command, its version, and the names of its metrics."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families


class EngineMissing(Exception):
    """The engine is not installed. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    """The parameters of an engine of any kind."""

    route: str
    """The name under which the engine serves the model."""
    model: str
    """A file, a folder or a name that the engine can load."""
    host: str
    port: int
    max_concurrency: int
    credential: str
    """The API key that the engine requires."""
    python: str = ""
    """The interpreter of the engine's environment; empty: found through the PATH."""
    tensor_parallel: int = 1
    """Number of GPUs over which the model is split. The engine is one endpoint in any case."""
    options: Sequence[str] = ()
    """Further options, passed to the engine unchanged."""

    @property
    def address(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCommand:
    """Arguments and environment of a process. Secrets go into the environment, which other users
    cannot read.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One kind of engine."""

    name: str
    command: Callable[[EngineRequest], EngineCommand]
    """Returns the command. Raises EngineMissing."""
    version: Callable[[EngineRequest], str]
    """Returns the version. May take a second."""
    metrics: "MetricNames"
    default_concurrency: int
    reserved: frozenset[str] = frozenset()
    """Options that `serve_model` sets itself and that `options` may not contain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricNames:
    """Names of each metric in all versions of an engine; the first one found is used."""

    running: tuple[str, ...]
    waiting: tuple[str, ...]
    kv_cache_used: tuple[str, ...]
    prompt_tokens: tuple[str, ...]
    generation_tokens: tuple[str, ...]

    @property
    def every_name(self) -> tuple[str, ...]:
        return (
            *(*self.running, *self.waiting, *self.kv_cache_used),
            *(*self.prompt_tokens, *self.generation_tokens),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLoad:
    """The load of an engine. None: not reported."""

    running: int
    """Number of running requests."""
    waiting: int
    kv_cache_used: float | None = None
    """Used share of the KV cache, 0 to 1."""
    prompt_tokens: int | None = None
    """Prompt tokens since the engine started."""
    generation_tokens: int | None = None

    def gauges(self) -> dict[str, Any]:
        """Return the values stored in the endpoint's row."""
        return {
            "running": self.running,
            "waiting": self.waiting,
            "kv_cache_used": self.kv_cache_used,
        }

    def as_json(self) -> dict[str, Any]:
        """Return the reported values."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def read_load(names: MetricNames, *, metrics: str) -> EngineLoad:
    """Return the load from `/metrics` in Prometheus' text format; missing counts are 0."""
    values = metric_values(metrics, names=names.every_name)
    cache = first_present(names.kv_cache_used, values=values)
    prompt = first_present(names.prompt_tokens, values=values)
    generation = first_present(names.generation_tokens, values=values)
    return EngineLoad(
        running=int(sum(first_present(names.running, values=values))),
        waiting=int(sum(first_present(names.waiting, values=values))),
        # Each engine core reports its own cache.
        kv_cache_used=min(1.0, sum(cache) / len(cache)) if cache else None,
        prompt_tokens=int(sum(prompt)) if prompt else None,
        generation_tokens=int(sum(generation)) if generation else None,
    )


def metric_values(metrics: str, *, names: tuple[str, ...]) -> dict[str, list[float]]:
    """Return the values of all label sets of the metrics `names`, by metric name.

    Lines that cannot be parsed, and values that are negative or not finite, are left out.
    """
    found: dict[str, list[float]] = {}
    for line in metrics.splitlines():
        # Parsing all 600 lines of vLLM takes 60 ms, parsing the five needed ones less than one.
        if line.lstrip().startswith(names):
            for name, value in samples_of(line):
                if name in names and math.isfinite(value) and value >= 0:
                    found.setdefault(name, []).append(value)
    return found


def samples_of(line: str) -> list[tuple[str, float]]:
    """Return name and value of the sample on a line; empty if it cannot be parsed."""
    try:
        families = list(text_string_to_metric_families(line))
    except (ValueError, IndexError):
        return []
    return [(sample.name, sample.value) for family in families for sample in family.samples]


def first_present(names: Sequence[str], *, values: Mapping[str, list[float]]) -> list[float]:
    return next((values[name] for name in names if name in values), [])
