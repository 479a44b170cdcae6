"""Conversations: found, read, and erased for good."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from agents.admin.recent_agents import AgentFilter
from agents.admin.transcript_items import shown_items
from agents.erasure.service import erase_conversation
from agents.models import Conversation, Item
from kernel.admin.base import Question, ReadOnlyAdmin
from kernel.admin.bounded_lists import UncountedPaginator

ERASE = Question(
    title="Erase this conversation?",
    explains="Its items, runs and approvals are deleted, and what Redis holds of them. "
    "The ledger keeps its counts. A receipt stays. Nobody can undo this.",
    verb="Erase it",
    dangerous=True,
)


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "tenant", "agent", "changes", "created_at", "changed_at")
    list_filter = (("tenant", AutocompleteSelectFilter), AgentFilter)
    list_select_related = ("tenant",)
    search_fields = ("public_id__startswith", "agent__exact")
    related_search = {"tenant": ("slug__exact",)}
    sortable_by = ("changed_at",)
    search_help_text = "The beginning of an id, an agent's or a tenant's whole short name."
    paginator = UncountedPaginator
    list_fullwidth = True
    fields = ("public_id", "tenant", "agent", "revision", "metadata", "created_at", "changed_at")
    actions_detail = ("erase", "runs")
    change_form_after_template = "agents/transcript.html"
    when_empty = "Nobody has talked to an agent yet. Send `POST /v1/chat`, and it appears here."

    @display(description="Changes", ordering="next_position")
    def changes(self, talk: Conversation) -> int:
        return talk.next_position

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        rows = Item.objects.filter(conversation_id=as_key(object_id))
        kwargs["extra_context"] = {
            **(kwargs.get("extra_context") or {}),
            **shown_items(rows, request),
        }
        return super().change_view(request, object_id, *args, **kwargs)

    @action(description="Runs", icon="directions_run")
    def runs(self, request: HttpRequest, object_id: str) -> HttpResponse:
        talk = self.find(request, object_id)
        return HttpResponseRedirect(f"{reverse('admin:agents_run_changelist')}?q={talk.public_id}")

    @action(description="Erase", icon="delete_forever")
    def erase(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(talk: Conversation) -> HttpResponse:
            receipt = erase_conversation(
                talk.tenant_id,
                conversation=talk.public_id,
                by=request.user.get_username(),
            )
            self.message_user(request, "It is erased. This is the receipt.")
            name = "admin:agents_erasurereceipt_change"
            return HttpResponseRedirect(reverse(name, args=(receipt.pk,)))

        return self.ask_first(request, object_id, question=ERASE, act=act)


def as_key(object_id: str) -> int:
    """Of a row; 0, which no row has, for what is no number."""
    return int(object_id) if object_id.isdecimal() and len(object_id) < len(str(2**63)) else 0
