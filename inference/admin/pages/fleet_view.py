"""The fleet as its page draws it: words, numbers, colours and addresses. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.urls import reverse

from inference.admin.sparkline import Sparkline, draw_load, draw_tokens
from inference.admin.ways import FROM
from inference.models import ModelEndpoint, ModelPool
from inference.models.pool import Engine, Strategy
from inference.monitoring.fleet_status import EndpointLive, FleetLive, Sample
from kernel.admin.formatting import BADGES, separated

State = ModelEndpoint.State
UNKNOWN = "-"
SILENT_SECONDS = 15
"""A heartbeat that is older than this is worth saying."""


class Button(NamedTuple):
    """Something that can be done to an endpoint."""

    label: str
    icon: str
    address: str
    asks: bool
    """Its page asks first. Otherwise it happens at once, since it hurts nobody."""


class Badge(NamedTuple):
    text: str
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRow:
    """One endpoint."""

    id: str
    address: str
    page: str
    model: str
    facts: str
    """Version, zone and weight, as far as they say something."""
    badges: tuple[Badge, ...]
    note: str
    in_flight: str
    full: int | None
    """Per cent of what it takes at once."""
    waiting: str
    kv: int | None
    """Per cent."""
    ttft: str
    tokens: str
    load_chart: Sparkline | None
    token_chart: Sparkline | None
    buttons: tuple[Button, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """One pool."""

    pool: ModelPool
    engine: str
    strategy: str
    routes: tuple[str, ...]
    ready: int
    total: int
    in_flight: str
    queue: str
    rows: tuple[EndpointRow, ...]
    more: int = 0
    """Endpoints that have no place here."""
    command: str = ""
    """That starts its first engine."""

    @property
    def ready_words(self) -> str:
        return f"{self.ready} of {self.total} ready"

    @property
    def ready_colour(self) -> str:
        """As on the dashboard: amber where some are missing."""
        return "success" if self.ready == self.total else "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was read at one moment."""

    now: datetime
    live: FleetLive | None
    """None while Redis is away."""
    histories: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    routes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def hears_gateways(self) -> bool:
        return self.live is not None and self.live.workers > 0


def view_pool(
    pool: Any,
    endpoints: Sequence[ModelEndpoint],
    seen: Seen,
    *,
    most: int,
    place: str,
    command: str,
) -> PoolView:
    """`endpoints` are all of the pool's, of which `most` are drawn; `place` is where one is now."""
    return PoolView(
        pool=pool,
        engine=Engine(pool.engine).label,
        strategy=Strategy(pool.strategy).label,
        routes=seen.routes.get(pool.pk, ()),
        ready=sum(endpoint.state == State.READY for endpoint in endpoints),
        total=len(endpoints),
        in_flight=in_flight_of(endpoints, seen),
        queue=queue_of(pool, seen),
        rows=tuple(view_endpoint(endpoint, seen, place=place) for endpoint in endpoints[:most]),
        more=max(0, len(endpoints) - most),
        command="" if endpoints else command,
    )


def in_flight_of(endpoints: Sequence[ModelEndpoint], seen: Seen) -> str:
    """Of all endpoints of a pool together."""
    if seen.live is None or not seen.live.workers:
        return UNKNOWN
    report = (seen.live.endpoints.get(endpoint.public_id) for endpoint in endpoints)
    return separated(sum(each.in_flight for each in report if each))


def queue_of(pool: ModelPool, seen: Seen) -> str:
    if seen.live is None or not seen.live.workers:
        return UNKNOWN
    return f"{separated(seen.live.queues.get(pool.name, 0))} of {separated(pool.queue_length)}"


def view_endpoint(endpoint: ModelEndpoint, seen: Seen, *, place: str) -> EndpointRow:
    report = EndpointLive()
    if seen.live is not None:
        report = seen.live.endpoints.get(endpoint.public_id, report)
    history = seen.histories.get(endpoint.public_id, ())
    heard = seen.hears_gateways
    now = seen.now.timestamp()
    kv = endpoint.kv_cache_used
    return EndpointRow(
        id=endpoint.public_id,
        address=endpoint.address,
        page=reverse("admin:inference_modelendpoint_change", args=(endpoint.pk,)),
        model=endpoint.model,
        facts=facts_of(endpoint),
        badges=badges_of(endpoint, report, heard=heard),
        note=note_of(endpoint, report, seen),
        in_flight=separated(report.in_flight) if heard else UNKNOWN,
        full=per_cent(report.in_flight / endpoint.max_concurrency) if heard else None,
        waiting=separated(endpoint.waiting),
        kv=None if kv is None else per_cent(kv),
        ttft=ttft_words(report),
        tokens=tokens_of(history),
        load_chart=draw_load(history, now=now),
        token_chart=draw_tokens(history, now=now),
        buttons=buttons_of(endpoint, place=place),
    )


def facts_of(endpoint: ModelEndpoint) -> str:
    parts = (
        endpoint.engine_version,
        f"zone {endpoint.zone}" if endpoint.zone else "",
        f"weight {endpoint.weight}" if endpoint.weight != 1 else "",
        ", ".join(endpoint.capabilities),
    )
    return " · ".join(part for part in parts if part)


def badges_of(endpoint: ModelEndpoint, report: EndpointLive, *, heard: bool) -> tuple[Badge, ...]:
    """Its state, and its breaker where that says something of its own."""
    state = Badge(endpoint.state, BADGES.get(endpoint.state, ""))
    if endpoint.forced == "open":
        return state, Badge("forced open", "danger")
    if endpoint.forced == "closed":
        return state, Badge("forced closed", "warning")
    if heard and report.breaker == "open":
        return state, Badge("breaker open", "danger")
    if heard and report.breaker == "half_open":
        return state, Badge("on trial", "warning")
    return (state,)


def note_of(endpoint: ModelEndpoint, report: EndpointLive, seen: Seen) -> str:
    """One line about what is out of the ordinary."""
    left_out = (report.ejected_until or 0) - seen.now.timestamp()
    if left_out > 0 and not endpoint.forced:
        return f"left out for {left_out:,.0f} s"
    silent = (seen.now - endpoint.heartbeat_at).total_seconds() if endpoint.heartbeat_at else 0
    if silent > SILENT_SECONDS:
        return f"silent for {silent:,.0f} s"
    if endpoint.state == State.UNHEALTHY:
        return endpoint.probe_note
    if report.failures:
        return (
            f"{separated(report.failures)} of {separated(report.requests)} requests failed lately"
        )
    return ""


def per_cent(share: float) -> int:
    return min(100, max(0, round(100 * share)))


def ttft_words(report: EndpointLive) -> str:
    values = (report.ttft_p50_ms, report.ttft_p95_ms)
    if values == (None, None):
        return UNKNOWN
    return " / ".join(UNKNOWN if value is None else f"{value:,.0f}" for value in values)


def tokens_of(history: Sequence[Sample]) -> str:
    rate = history[-1].tokens_per_second if history else None
    return UNKNOWN if rate is None else f"{rate:,.0f}"


def buttons_of(endpoint: ModelEndpoint, *, place: str) -> tuple[Button, ...]:
    """What makes sense now; `place` is where its page leads back to."""

    def button(label: str, icon: str, action: str, *, asks: bool) -> Button:
        page = reverse(f"admin:inference_modelendpoint_{action}", args=(endpoint.pk,))
        return Button(label, icon, f"{page}?{FROM}={place}", asks)

    found = []
    if endpoint.state == State.READY:
        found.append(button("Drain", "water_drop", "drain", asks=True))
    if endpoint.state == State.DRAINING:
        found.append(button("Activate", "play_arrow", "activate", asks=False))
    if endpoint.forced:
        found.append(button("Back to automatic", "autorenew", "release", asks=False))
    if endpoint.forced != "open":
        found.append(button("Eject", "block", "eject", asks=True))
    if endpoint.forced != "closed":
        found.append(button("Force closed", "lock", "hold_closed", asks=True))
    found.append(button("Probe now", "network_check", "probe", asks=False))
    return tuple(found)
