"""The page of all nodes, gateways and agent nodes, which refreshes itself."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.paginator import Page
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from agents.admin.nodes.nodes_view import view_node
from agents.models import AgentNode
from agents.models.node import NodeKind, NodeState
from agents.nodes.selectors import NodeCount, count_nodes
from kernel.admin.bounded_lists import BoundedPaginator
from kernel.admin.formatting import separated

NODES = "admin:agents_agentnode_changelist"
WHEN_EMPTY = (
    "No process is registered. Gateways appear here when they start (manage.py gateway). An agent "
    "node executes runs that no connection waits for: create a node token, and start one with the "
    "command that is displayed."
)
HTMX = "HX-Request"
ROWS_PER_PAGE = 50
MAX_ZONES = 200


class NodeFilterForm(forms.Form):
    """The filters of the page. Without a state, nodes that ended in order are left out."""

    q = forms.CharField(
        required=False, max_length=100, label="Name", widget=UnfoldAdminTextInputWidget
    )
    kind = forms.ChoiceField(
        required=False,
        choices=[("", "all kinds"), *NodeKind.choices],
        widget=UnfoldAdminSelectWidget,
    )
    state = forms.ChoiceField(
        required=False,
        choices=[("", "all but stopped"), *NodeState.choices],
        widget=UnfoldAdminSelectWidget,
    )
    zone = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = AgentNode.objects.exclude(zone="").order_by("zone").values_list("zone", flat=True)
        known = [(zone, zone) for zone in zones.distinct()[:MAX_ZONES]]
        self.fields["zone"].choices = [("", "all zones"), *known]  # type: ignore[attr-defined]

    @property
    def chosen(self) -> Mapping[str, str]:
        """The valid values that are not empty."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}


def show_nodes(request: HttpRequest) -> HttpResponse:
    """Render the nodes of the filter, or only the part that refreshes itself."""
    form = NodeFilterForm(request.GET)
    live = live_context(form.chosen, page=request.GET.get("page", "1"))
    if HTMX in request.headers:
        return TemplateResponse(request, "agents/nodes_live.html", live)
    context = {**admin.site.each_context(request), "title": "Nodes", "form": form, **live}
    return TemplateResponse(request, "agents/nodes.html", context)


def live_context(chosen: Mapping[str, str], *, page: str) -> dict[str, Any]:
    """Return the context of the part that refreshes itself, in three queries or four."""
    shown = page_of(chosen, page)
    now = timezone.now()
    return {
        "now": now,
        "rows": [view_node(node, now=now) for node in shown],
        "page": shown,
        "is_filtered": bool(chosen),
        "when_empty": WHEN_EMPTY,
        "cards": cards_of(count_nodes()),
        "live": address(chosen, page=shown.number),
        "before": address(chosen, page=shown.number - 1) if shown.has_previous() else "",
        "after": address(chosen, page=shown.number + 1) if shown.has_next() else "",
    }


def address(chosen: Mapping[str, str], *, page: int) -> str:
    query = {**chosen, **({"page": page} if page > 1 else {})}
    return reverse(NODES) + (f"?{urlencode(query)}" if query else "")


def page_of(chosen: Mapping[str, str], page: str) -> Page[AgentNode]:
    """Return a page of the nodes of the filter; a page that does not exist is the last one."""
    return BoundedPaginator(find_nodes(chosen), ROWS_PER_PAGE).get_page(page)


def find_nodes(chosen: Mapping[str, str]) -> QuerySet[AgentNode]:
    rows = AgentNode.objects.all() if "state" in chosen else AgentNode.objects.present()
    exact = {name: chosen[name] for name in ("kind", "state", "zone") if name in chosen}
    if text := chosen.get("q"):
        rows = rows.filter(
            Q(name__icontains=text) | Q(host__icontains=text) | Q(pod__icontains=text)
        )
    return rows.filter(**exact).order_by("kind", "name")


def cards_of(counts: list[NodeCount]) -> list[dict[str, Any]]:
    """Return the cards above the table, about all nodes."""
    agents = [each for each in counts if each.kind == NodeKind.AGENT]
    gateways = [each for each in counts if each.kind == NodeKind.GATEWAY]
    runs, slots = sum(each.runs for each in agents), sum(each.slots for each in agents)
    return [
        {"title": "Agent nodes up", **ready_of(agents)},
        {"title": "Gateway workers up", **ready_of(gateways)},
        {"title": "Slots of agent nodes used", "value": f"{separated(runs)} of {separated(slots)}"},
        {"title": "Open sockets", "value": separated(sum(each.sockets for each in counts))},
    ]


def ready_of(counts: list[NodeCount]) -> dict[str, Any]:
    total = sum(each.nodes for each in counts)
    ready = sum(each.nodes for each in counts if each.state == NodeState.UP)
    down = sum(each.nodes for each in counts if each.state == NodeState.DOWN)
    return {
        "value": f"{separated(ready)} of {separated(total)}",
        "detail": f"{separated(down)} down" if down else "",
        "alarming": total > ready == 0,
    }
