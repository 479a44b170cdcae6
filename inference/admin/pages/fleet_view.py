"""Formats the fleet for its page. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.urls import reverse

from inference.admin.return_link import FROM_PARAMETER
from inference.admin.sparkline import Sparkline, draw_load, draw_tokens
from inference.models import ModelEndpoint, ModelPool
from inference.models.pool import EngineKind, Strategy
from inference.monitoring.fleet_status import EndpointLive, FleetLive, Sample
from kernel.admin.formatting import BADGES, separated

State = ModelEndpoint.State
UNKNOWN = "-"
LATE_HEARTBEAT_SECONDS = 15
"""Age from which a heartbeat is reported as late."""


class Button(NamedTuple):
    """The button of an action on an endpoint."""

    label: str
    icon: str
    address: str
    needs_confirmation: bool
    """Whether the button opens a confirmation page; otherwise it posts at once."""


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
    """Version, zone, weight and capabilities, if they differ from the defaults."""
    badges: tuple[Badge, ...]
    note: str
    in_flight: str
    full: int | None
    """Percentage of its maximum concurrency."""
    waiting: str
    kv: int | None
    """Percentage of the KV cache in use."""
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
    """Number of endpoints that are not listed."""
    command: str = ""
    """Command that starts the first engine of an empty pool."""

    @property
    def ready_words(self) -> str:
        return f"{self.ready} of {self.total} ready"

    @property
    def ready_colour(self) -> str:
        """Amber if some endpoints are not ready, as on the dashboard."""
        return "success" if self.ready == self.total else "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """The live state of the fleet at one moment."""

    now: datetime
    live: FleetLive | None
    """None while Redis is unavailable."""
    histories: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    routes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def has_reports(self) -> bool:
        return self.live is not None and self.live.workers > 0


def view_pool(
    pool: Any,
    endpoints: Sequence[ModelEndpoint],
    fleet_state: FleetState,
    *,
    max_rows: int,
    place: str,
    command: str,
) -> PoolView:
    """Format a pool with the first `max_rows` of its endpoints; `place` names the page."""
    return PoolView(
        pool=pool,
        engine=EngineKind(pool.engine).label,
        strategy=Strategy(pool.strategy).label,
        routes=fleet_state.routes.get(pool.pk, ()),
        ready=sum(endpoint.state == State.READY for endpoint in endpoints),
        total=len(endpoints),
        in_flight=in_flight_of(endpoints, fleet_state),
        queue=queue_of(pool, fleet_state),
        rows=tuple(
            view_endpoint(endpoint, fleet_state, place=place) for endpoint in endpoints[:max_rows]
        ),
        more=max(0, len(endpoints) - max_rows),
        command="" if endpoints else command,
    )


def in_flight_of(endpoints: Sequence[ModelEndpoint], fleet_state: FleetState) -> str:
    """Return the sum over all endpoints of a pool."""
    if fleet_state.live is None or not fleet_state.live.workers:
        return UNKNOWN
    report = (fleet_state.live.endpoints.get(endpoint.public_id) for endpoint in endpoints)
    return separated(sum(each.in_flight for each in report if each))


def queue_of(pool: ModelPool, fleet_state: FleetState) -> str:
    if fleet_state.live is None or not fleet_state.live.workers:
        return UNKNOWN
    return (
        f"{separated(fleet_state.live.queues.get(pool.name, 0))} of {separated(pool.queue_length)}"
    )


def view_endpoint(endpoint: ModelEndpoint, fleet_state: FleetState, *, place: str) -> EndpointRow:
    report = EndpointLive()
    if fleet_state.live is not None:
        report = fleet_state.live.endpoints.get(endpoint.public_id, report)
    history = fleet_state.histories.get(endpoint.public_id, ())
    is_reported = fleet_state.has_reports
    now = fleet_state.now.timestamp()
    kv = endpoint.kv_cache_used
    return EndpointRow(
        id=endpoint.public_id,
        address=endpoint.address,
        page=reverse("admin:inference_modelendpoint_change", args=(endpoint.pk,)),
        model=endpoint.model,
        facts=facts_of(endpoint),
        badges=badges_of(endpoint, report, is_reported=is_reported),
        note=note_of(endpoint, report, fleet_state),
        in_flight=separated(report.in_flight) if is_reported else UNKNOWN,
        full=per_cent(report.in_flight / endpoint.max_concurrency) if is_reported else None,
        waiting=separated(endpoint.waiting),
        kv=None if kv is None else per_cent(kv),
        ttft=ttft_text(report),
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


def badges_of(
    endpoint: ModelEndpoint, report: EndpointLive, *, is_reported: bool
) -> tuple[Badge, ...]:
    """Return badges for the state, and for a breaker that is not closed or is forced."""
    state = Badge(endpoint.state, BADGES.get(endpoint.state, ""))
    if endpoint.breaker_override == "open":
        return state, Badge("forced open", "danger")
    if endpoint.breaker_override == "closed":
        return state, Badge("forced closed", "warning")
    if is_reported and report.breaker == "open":
        return state, Badge("breaker open", "danger")
    if is_reported and report.breaker == "half_open":
        return state, Badge("breaker half-open", "warning")
    return (state,)


def note_of(endpoint: ModelEndpoint, report: EndpointLive, fleet_state: FleetState) -> str:
    """Return one line about the most important problem; empty if there is none."""
    ejected = (report.ejected_until or 0) - fleet_state.now.timestamp()
    if ejected > 0 and not endpoint.breaker_override:
        return f"ejected for {ejected:,.0f} s"
    silent = (
        (fleet_state.now - endpoint.heartbeat_at).total_seconds() if endpoint.heartbeat_at else 0
    )
    if silent > LATE_HEARTBEAT_SECONDS:
        return f"no heartbeat for {silent:,.0f} s"
    if endpoint.state == State.UNHEALTHY:
        return endpoint.probe_note
    if report.failures:
        return (
            f"{separated(report.failures)} of {separated(report.requests)} recent requests failed"
        )
    return ""


def per_cent(share: float) -> int:
    return min(100, max(0, round(100 * share)))


def ttft_text(report: EndpointLive) -> str:
    values = (report.ttft_p50_ms, report.ttft_p95_ms)
    if values == (None, None):
        return UNKNOWN
    return " / ".join(UNKNOWN if value is None else f"{value:,.0f}" for value in values)


def tokens_of(history: Sequence[Sample]) -> str:
    rate = history[-1].tokens_per_second if history else None
    return UNKNOWN if rate is None else f"{rate:,.0f}"


def buttons_of(endpoint: ModelEndpoint, *, place: str) -> tuple[Button, ...]:
    """Return the buttons that apply now; `place` is the page that actions return to."""

    def button(label: str, icon: str, action: str, *, needs_confirmation: bool) -> Button:
        page = reverse(f"admin:inference_modelendpoint_{action}", args=(endpoint.pk,))
        return Button(label, icon, f"{page}?{FROM_PARAMETER}={place}", needs_confirmation)

    found = []
    if endpoint.state == State.READY:
        found.append(button("Drain", "water_drop", "drain", needs_confirmation=True))
    if endpoint.state == State.DRAINING:
        found.append(button("Activate", "play_arrow", "activate", needs_confirmation=False))
    if endpoint.breaker_override:
        found.append(button("Back to automatic", "autorenew", "release", needs_confirmation=False))
    if endpoint.breaker_override != "open":
        found.append(button("Eject", "block", "eject", needs_confirmation=True))
    if endpoint.breaker_override != "closed":
        found.append(button("Force closed", "lock", "hold_closed", needs_confirmation=True))
    found.append(button("Probe now", "network_check", "probe", needs_confirmation=False))
    return tuple(found)
