"""The page of one node, and the actions on nodes."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.decorators import action, display

from agents.admin.nodes.nodes_page import NODES, WHEN_EMPTY, show_nodes
from agents.admin.nodes.nodes_view import cpu_text, label_text, lag_text, slots_text
from agents.admin.nodes.questions import CANCEL_DRAIN, DRAIN, REMOVE
from agents.models import AgentNode
from agents.nodes import operations
from kernel.admin.base import ConsoleAdmin
from kernel.admin.formatting import BADGES


@admin.register(AgentNode)
class AgentNodeAdmin(ConsoleAdmin):
    fields = (
        *("name", "kind", "state_badge", "note", "zone", "label_words", "capability_words"),
        *("slots_used", "weight", "sockets", "cpu", "loop_lag", "host", "pod", "version", "worker"),
        *("token", "started_at", "heartbeat_at", "drain_requested_at", "stopped_at"),
    )
    actions_detail = ("drain", "cancel_drain", "remove")
    questions = {"drain": DRAIN, "cancel_drain": CANCEL_DRAIN, "remove": REMOVE}
    when_empty = WHEN_EMPTY

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Replace Django's list by the one that refreshes itself."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return show_nodes(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="State", label=BADGES, ordering="state")
    def state_badge(self, node: AgentNode) -> str:
        return node.state

    @display(description="Labels", empty_value="-")
    def label_words(self, node: AgentNode) -> str | None:
        return label_text(node) or None

    @display(description="Capabilities", empty_value="-")
    def capability_words(self, node: AgentNode) -> str | None:
        return ", ".join(node.capabilities) or None

    @display(description="Runs")
    def slots_used(self, node: AgentNode) -> str:
        return slots_text(node)

    @display(description="CPU, of one core", empty_value="-")
    def cpu(self, node: AgentNode) -> str | None:
        return cpu_text(node) or None

    @display(description="Event loop lag", empty_value="-")
    def loop_lag(self, node: AgentNode) -> str | None:
        return lag_text(node) or None

    @action(description="Drain", icon="water_drop")
    def drain(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(node: AgentNode) -> HttpResponse:
            changed = operations.request_drain(node=node)
            outcome = "takes no new runs" if changed else "is drained already"
            return self.back(request, node, f"{node} {outcome}.")

        return self.confirm(request, object_id, question=DRAIN, act=act)

    @action(description="Cancel drain", icon="play_arrow")
    def cancel_drain(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(node: AgentNode) -> HttpResponse:
            changed = operations.cancel_drain(node=node)
            outcome = "takes runs again" if changed else "was not drained; nothing changed"
            return self.back(request, node, f"{node} {outcome}.")

        return self.confirm(request, object_id, question=CANCEL_DRAIN, act=act)

    @action(description="Remove", icon="delete")
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(node: AgentNode) -> HttpResponse:
            operations.remove_node(node=node)
            self.message_user(request, f"{node} is removed.")
            return HttpResponseRedirect(reverse(NODES))

        return self.confirm(request, object_id, question=REMOVE, act=act)

    def back(self, request: HttpRequest, node: AgentNode, message: str) -> HttpResponse:
        """Redirect to the list of nodes with a message."""
        self.message_user(request, message)
        return HttpResponseRedirect(reverse(NODES))
