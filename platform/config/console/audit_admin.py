"""The read-only audit log: changes with their actor and time."""

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

# These pages are not themed, and list the digests of operators' tokens.
admin.site.unregister(LogEntry)
admin.site.unregister(get_token_model())

MAX_LISTED_FIELDS = 4
"""Maximum number of fields that the list names."""

VERBS = {"create": "success", "update": "info", "delete": "danger", "access": "warning"}


@admin.register(LogEntry)
class AuditAdmin(ReadOnlyAdmin):
    list_title = "Audit log"
    list_display = ("moment", "person", "verb", "kind", "object_repr", "summary")
    # No date hierarchy: it would read every row to find the days.
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
    when_empty = "Nothing has been changed yet. Every change by a person appears here."

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
        unlisted = len(fields) - MAX_LISTED_FIELDS
        more = f" and {unlisted} more" if unlisted > 0 else ""
        return ", ".join(fields[:MAX_LISTED_FIELDS]) + more

    @display(description="Changes")
    def difference(self, entry: LogEntry) -> SafeString:
        return render_to_string("console/changes.html", {"changes": entry.changes_dict})
