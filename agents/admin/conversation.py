"""Conversations: list, transcript, and permanent erasure."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from agents.admin.recent_agents import AgentFilter
from agents.admin.transcript_items import transcript_page
from agents.erasure.service import erase_conversation
from agents.models import Conversation, Item
from kernel.admin.base import Question, ReadOnlyAdmin
from kernel.admin.bounded_lists import UncountedPaginator

ERASE = Question(
    title="Erase this conversation?",
    explains="Deletes its items, runs and approvals from the database and from Redis. The ledger"
    " keeps its counts, and a receipt remains. This cannot be undone.",
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
    search_help_text = "The beginning of an id, or the whole short name of an agent or a tenant."
    paginator = UncountedPaginator
    list_fullwidth = True
    fields = ("public_id", "tenant", "agent", "revision", "metadata", "created_at", "changed_at")
    actions_detail = ("erase", "runs")
    change_form_after_template = "agents/transcript.html"
    when_empty = "No conversations yet. Send `POST /v1/chat`, and one appears here."

    @display(description="Changes", ordering="next_position")
    def changes(self, conversation: Conversation) -> int:
        return conversation.next_position

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        rows = Item.objects.filter(conversation_id=primary_key_of(object_id))
        kwargs["extra_context"] = {
            **(kwargs.get("extra_context") or {}),
            **transcript_page(rows, request),
        }
        return super().change_view(request, object_id, *args, **kwargs)

    @action(description="Runs", icon="directions_run")
    def runs(self, request: HttpRequest, object_id: str) -> HttpResponse:
        conversation = self.find(request, object_id)
        return HttpResponseRedirect(
            f"{reverse('admin:agents_run_changelist')}?q={conversation.public_id}"
        )

    @action(description="Erase", icon="delete_forever")
    def erase(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(conversation: Conversation) -> HttpResponse:
            receipt = erase_conversation(
                conversation.tenant_id,
                conversation=conversation.public_id,
                by=request.user.get_username(),
            )
            self.message_user(request, "The conversation is erased. This is its receipt.")
            name = "admin:agents_erasurereceipt_change"
            return HttpResponseRedirect(reverse(name, args=(receipt.pk,)))

        return self.confirm(request, object_id, question=ERASE, act=act)


def primary_key_of(object_id: str) -> int:
    """Return the primary key as a number. 0, which no row has, if it is not a number."""
    return int(object_id) if object_id.isdecimal() and len(object_id) < len(str(2**63)) else 0
