"""An engine as its operator sees it: a command to start, an address, names of its metrics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


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
    running_metrics: tuple[str, ...]
    """Names that the gauge of requests being answered has had; the first one found counts."""
    waiting_metrics: tuple[str, ...]
    default_concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How busy an engine is: requests being answered, and requests that wait."""

    running: int
    waiting: int


def read_load(engine: Engine, *, metrics: str) -> Load:
    """The load out of `/metrics` in Prometheus' text format; 0 where it says nothing."""
    values = gauge_values(metrics)
    return Load(
        running=first_known(engine.running_metrics, values=values),
        waiting=first_known(engine.waiting_metrics, values=values),
    )


def gauge_values(metrics: str) -> dict[str, float]:
    """Sums over all label sets, by metric name."""
    sums: dict[str, float] = {}
    for line in metrics.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        series, _, value = line.rpartition(" ")
        name = series.split("{", 1)[0].strip()
        try:
            sums[name] = sums.get(name, 0.0) + float(value)
        except ValueError:
            continue
    return sums


def first_known(names: Sequence[str], *, values: Mapping[str, float]) -> int:
    return next((int(values[name]) for name in names if name in values), 0)
