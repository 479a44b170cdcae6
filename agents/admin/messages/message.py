"""Messages to agents and topics, with what became of each delivery."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.decorators import display

from agents.admin.conversation import primary_key_of
from agents.admin.recent_agents import RecentValueFilter
from agents.models import AgentMessage, Delivery
from agents.models.message import DeliveryState
from kernel.admin.base import ReadOnlyAdmin
from kernel.admin.bounded_lists import UncountedPaginator

DELIVERY_LABELS = {
    DeliveryState.PENDING: "warning",
    DeliveryState.DELIVERED: "info",
    DeliveryState.COMPLETED: "success",
    DeliveryState.DEAD: "danger",
}
MAX_DELIVERIES_SHOWN = 100
CLIENT = "client"


class RecentTopicFilter(RecentValueFilter):
    title = "topic"
    parameter_name = "topic"


class RecentSenderFilter(RecentValueFilter):
    title = "sender"
    parameter_name = "sender"


class DeliveryStateFilter(DropdownFilter):
    """Messages of which a delivery has a state."""

    title = "delivery"
    parameter_name = "delivery"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.label) for state in DeliveryState]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        if not value:
            return queryset
        return queryset.filter(pk__in=Delivery.objects.filter(state=value).values("message"))


@admin.register(AgentMessage)
class AgentMessageAdmin(ReadOnlyAdmin):
    list_display = (
        *("public_id", "tenant", "sent_by", "sent_to", "completed", "open", "dead", "hops"),
        "created_at",
    )
    list_filter = (
        *(DeliveryStateFilter, RecentTopicFilter, RecentSenderFilter),
        ("tenant", AutocompleteSelectFilter),
    )
    list_select_related = ("tenant",)
    search_fields = ("public_id__startswith",)
    search_help_text = "The beginning of a message's id."
    paginator = UncountedPaginator
    # By id, which is the order of creation; no index over all tenants orders by time.
    ordering = ("-pk",)
    sortable_by = ()
    list_fullwidth = True
    fields = (
        *("public_id", "tenant", "sent_by", "topic", "text", "hops", "correlation_id"),
        *("message_id", "metadata", "created_at"),
    )
    change_form_before_template = "agents/message.html"
    when_empty = "No messages yet. Send `POST /v1/agents/{agent}/messages`, and one appears here."

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentMessage]:
        rows: QuerySet[AgentMessage] = super().get_queryset(request)
        return rows.annotate(
            completed_count=count_of(DeliveryState.COMPLETED),
            open_count=count_of(DeliveryState.PENDING, DeliveryState.DELIVERED),
            dead_count=count_of(DeliveryState.DEAD),
            receiver=Subquery(
                Delivery.objects.filter(message=OuterRef("pk")).order_by("pk").values("agent")[:1]
            ),
        )

    @display(description="From")
    def sent_by(self, message: AgentMessage) -> str:
        return message.sender or CLIENT

    @display(description="To", empty_value="-")
    def sent_to(self, message: Any) -> str | None:
        return f"topic {message.topic}" if message.topic else message.receiver

    @display(description="Completed")
    def completed(self, message: Any) -> int:
        return int(message.completed_count)

    @display(description="Open")
    def open(self, message: Any) -> int:
        return int(message.open_count)

    @display(description="Dead letters", label={DeliveryState.DEAD: "danger"}, empty_value="-")
    def dead(self, message: Any) -> tuple[str, str] | None:
        number = message.dead_count
        return (DeliveryState.DEAD, str(number)) if number else None

    @display(description="Content")
    def text(self, message: AgentMessage) -> SafeString:
        return content_of(message)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """Extend Django's view with the deliveries."""
        rows = Delivery.objects.filter(message=primary_key_of(object_id))
        extra = {"deliveries": shown_deliveries(rows), "more": rows.count() - MAX_DELIVERIES_SHOWN}
        kwargs["extra_context"] = {**(kwargs.get("extra_context") or {}), **extra}
        return super().change_view(request, object_id, *args, **kwargs)


def count_of(*states: DeliveryState) -> Coalesce:
    """Return a subquery of the number of a message's deliveries; PostgreSQL counts those shown."""
    rows = Delivery.objects.filter(message=OuterRef("pk"), state__in=states).order_by()
    counted = rows.values("message").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def shown_deliveries(rows: QuerySet[Delivery]) -> Iterable[dict[str, Any]]:
    """Return the deliveries that a message's page shows, with the colours of their states."""
    shown = rows.select_related("run").defer("run__checkpoint").order_by("pk")
    return [
        {"row": row, "label": DELIVERY_LABELS[DeliveryState(row.state)]}
        for row in shown[:MAX_DELIVERIES_SHOWN]
    ]


def content_of(message: AgentMessage) -> SafeString:
    return format_html('<pre class="console-code console-result">{}</pre>', message.content)
