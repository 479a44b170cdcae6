"""Dead letters: deliveries of messages that failed for good, and their replay."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from agents.admin.messages.message import CLIENT, DELIVERY_LABELS, content_of
from agents.admin.recent_agents import AgentFilter, RecentValueFilter
from agents.messages.services import replay_delivery
from agents.models import Delivery
from agents.models.message import DeliveryState
from kernel.admin.base import Question, ReadOnlyAdmin
from kernel.admin.bounded_lists import UncountedPaginator

LABELS = {state.label: colour for state, colour in DELIVERY_LABELS.items()}
EXPLAINS = (
    "The agent gets the message again within seconds, with five attempts. What earlier attempts "
    "did is not undone: their runs may have called tools."
)


def is_dead(delivery: Delivery) -> bool:
    return delivery.state == DeliveryState.DEAD


REPLAY = Question(
    title="Replay this dead letter?",
    explains=EXPLAINS,
    verb="Replay",
    applies=is_dead,
    otherwise="This delivery is not a dead letter.",
)
REPLAY_SELECTED = Question(
    title="Replay the selected dead letters?", explains=EXPLAINS, verb="Replay", applies=is_dead
)


class ErrorFilter(RecentValueFilter):
    title = "error"
    parameter_name = "error_code"


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """The list has dead letters only; a page may be of any delivery."""

    list_title = "Dead letters"
    list_display = (
        *("public_id", "tenant", "agent", "sent_by", "topic", "error_code", "attempts"),
        *("replays", "ended_at"),
    )
    list_filter = (ErrorFilter, AgentFilter, ("tenant", AutocompleteSelectFilter))
    search_fields = ("public_id__startswith",)
    related_search = {"message": ("public_id__exact",)}
    search_help_text = "The beginning of a delivery's id, or the whole id of its message."
    paginator = UncountedPaginator
    ordering = ("-pk",)
    sortable_by = ()
    list_fullwidth = True
    fields = (
        *("public_id", "status", "tenant", "agent", "sent_by", "topic", "text", "error_code"),
        *("error_message", "attempts", "replays", "next_attempt_at", "ended_at", "created_at"),
    )
    actions = ("replay_selected",)
    actions_detail = ("replay", "open_message", "open_run")
    questions = {"replay": REPLAY}
    when_empty = (
        "No dead letters. A message is one if its agent cannot be run, or fails five times."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        rows: QuerySet[Delivery] = super().get_queryset(request)
        rows = rows.select_related("tenant", "message", "run").defer("run__checkpoint")
        match = request.resolver_match
        is_list = match is not None and str(match.url_name).endswith("_changelist")
        return rows.filter(state=DeliveryState.DEAD) if is_list else rows

    @display(description="State", label=LABELS)
    def status(self, delivery: Delivery) -> str:
        return str(delivery.get_state_display())

    @display(description="From")
    def sent_by(self, delivery: Delivery) -> str:
        return delivery.message.sender or CLIENT

    @display(description="Topic", empty_value="-")
    def topic(self, delivery: Delivery) -> str | None:
        return delivery.message.topic or None

    @display(description="Content")
    def text(self, delivery: Delivery) -> SafeString:
        return content_of(delivery.message)

    @action(description="Replay", icon="replay")
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(delivery: Delivery) -> HttpResponse:
            replay_delivery(delivery=delivery)
            return self.redirect_with_message(request, delivery, "The message is sent again.")

        return self.confirm(request, object_id, question=REPLAY, act=act)

    @action(description="Replay the selected dead letters")
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> Any:
        def act(delivery: Delivery) -> bool:
            replay_delivery(delivery=delivery)
            return True

        return self.confirm_selected(
            request, queryset, question=REPLAY_SELECTED, act=act, done="Sent again"
        )

    @action(description="Message", icon="mail")
    def open_message(self, request: HttpRequest, object_id: str) -> HttpResponse:
        delivery = self.find(request, object_id)
        place = reverse("admin:agents_agentmessage_change", args=(delivery.message_id,))
        return HttpResponseRedirect(place)

    @action(description="Run", icon="directions_run")
    def open_run(self, request: HttpRequest, object_id: str) -> HttpResponse:
        delivery = self.find(request, object_id)
        if delivery.run_id is None:
            self.message_user(request, "This delivery has no run: none could be started.")
            return HttpResponseRedirect(self.address_of(delivery))
        return HttpResponseRedirect(reverse("admin:agents_run_change", args=(delivery.run_id,)))
