"""The audit log: who changed what and when; read here, written nowhere by hand."""

from auditlog.models import LogEntry
from django.contrib import admin
from django.template.loader import render_to_string
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from knox.models import get_token_model
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from kernel.admin.base import ReadOnlyAdmin
from kernel.admin.bounded_lists import UncountedPaginator

# Theirs are not themed, and list the digests of operators' tokens.
admin.site.unregister(LogEntry)
admin.site.unregister(get_token_model())

SHOWN = 4
"""Fields that the list names."""

VERBS = {"create": "success", "update": "info", "delete": "danger", "access": "warning"}


@admin.register(LogEntry)
class AuditAdmin(ReadOnlyAdmin):
    list_title = "Audit log"
    list_display = ("moment", "person", "verb", "kind", "object_repr", "summary")
    # No date hierarchy: to offer its days it reads every row.
    list_filter = ("action", "content_type", ("timestamp", RangeDateTimeFilter))
    sortable_by = ("moment",)
    list_select_related = ("actor", "content_type")
    search_fields = ("object_repr__istartswith", "object_pk__exact")
    related_search = {"actor": ("username__exact",)}
    search_help_text = "The beginning of a name, a whole user name, or a number."
    paginator = UncountedPaginator
    fields = (
        *("timestamp", "person", "verb", "kind", "object_repr", "object_pk"),
        *("remote_addr", "difference"),
    )
    when_empty = "Nothing was changed yet. Every change of a person appears here."

    @display(description="When", ordering="timestamp")
    def moment(self, entry: LogEntry) -> SafeString:
        return format_html('<span class="console-nowrap">{}</span>', localize(entry.timestamp))

    @display(description="What", ordering="content_type")
    def kind(self, entry: LogEntry) -> str:
        return str(entry.content_type.name)

    @display(description="Who", ordering="actor", empty_value="platform")
    def person(self, entry: LogEntry) -> str | None:
        return str(entry.actor) if entry.actor else entry.actor_email

    @display(description="Did", label=VERBS, ordering="action")
    def verb(self, entry: LogEntry) -> str:
        return str(entry.get_action_display())

    @display(description="Fields")
    def summary(self, entry: LogEntry) -> str:
        fields = sorted(entry.changes_dict)
        more = f" and {len(fields) - SHOWN} more" if len(fields) > SHOWN else ""
        return ", ".join(fields[:SHOWN]) + more

    @display(description="Changes")
    def difference(self, entry: LogEntry) -> SafeString:
        return render_to_string("console/changes.html", {"changes": entry.changes_dict})
