"""Formats nodes for their page. Pure."""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from agents.admin.nodes.questions import CANCEL_DRAIN, DRAIN, REMOVE
from agents.models import AgentNode
from agents.models.node import NodeKind
from kernel.admin.formatting import BADGES, separated

MAX_LABEL_CHARS = 80
BUTTONS = (
    (DRAIN, "Drain", "water_drop", "drain"),
    (CANCEL_DRAIN, "Cancel drain", "play_arrow", "cancel_drain"),
    (REMOVE, "Remove", "delete", "remove"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeButton:
    """The button of an action, which opens its confirmation."""

    label: str
    icon: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """One node in the table."""

    name: str
    page: str
    kind: str
    place: str
    """Host and pod, if the name does not say them."""
    state: str
    colour: str
    note: str
    zone: str
    labels: str
    all_labels: str
    """The labels without a limit, for the tooltip."""
    slots: str
    full: int | None
    """Percentage of its slots in use."""
    sockets: str
    cpu: str
    lag: str
    """Delay of the event loop."""
    version: str
    since: datetime
    heartbeat: str
    buttons: tuple[NodeButton, ...]


def view_node(node: AgentNode, *, now: datetime) -> NodeRow:
    """Format a node as it is at `now`."""
    words = "; ".join(part for part in (label_text(node), ", ".join(node.capabilities)) if part)
    return NodeRow(
        name=node.name,
        page=reverse("admin:agents_agentnode_change", args=(node.pk,)),
        kind=NodeKind(node.kind).label,
        place=place_of(node),
        state=node.state,
        colour=BADGES.get(node.state, ""),
        note=node.note,
        zone=node.zone,
        labels=words if len(words) <= MAX_LABEL_CHARS else f"{words[:MAX_LABEL_CHARS]}…",
        all_labels=words,
        slots=slots_text(node),
        full=None if not node.slots else min(100, round(100 * node.runs / node.slots)),
        sockets=separated(node.sockets),
        cpu=cpu_text(node),
        lag=lag_text(node),
        version=node.version,
        since=node.started_at,
        heartbeat=age_text((now - node.heartbeat_at).total_seconds()),
        buttons=buttons_of(node),
    )


def place_of(node: AgentNode) -> str:
    """Return the pod and the host, without those that the name contains."""
    places = dict.fromkeys((node.pod, node.host))
    return " on ".join(place for place in places if place and place.lower() not in node.name)


def age_text(seconds: float) -> str:
    """Format the age of a heartbeat: seconds, minutes or hours."""
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{max(0, seconds):.0f} s ago"
    if seconds < 7200:  # noqa: PLR2004 - two hours
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago"


def buttons_of(node: AgentNode) -> tuple[NodeButton, ...]:
    """Return the buttons of the actions that apply now."""
    return tuple(
        NodeButton(
            label=label,
            icon=icon,
            address=reverse(f"admin:agents_agentnode_{name}", args=(node.pk,)),
        )
        for question, label, icon, name in BUTTONS
        if question.applies(node)
    )


def label_text(node: AgentNode) -> str:
    """Return labels as Kubernetes writes them."""
    return ", ".join(f"{key}={value}" if value else key for key, value in node.labels.items())


def slots_text(node: AgentNode) -> str:
    runs = separated(node.runs)
    return runs if node.slots is None else f"{runs} of {separated(node.slots)}"


def cpu_text(node: AgentNode) -> str:
    """Return the CPU of the last heartbeat, in percent of one core; empty if unknown."""
    cpu = node.load.get("cpu")
    return "" if cpu is None else f"{100 * cpu:,.0f} %"


def lag_text(node: AgentNode) -> str:
    """Return the maximum delay of the event loop before the last heartbeat; empty if unknown."""
    lag = node.load.get("loop_lag_ms")
    return "" if lag is None else f"{lag:,.0f} ms"
