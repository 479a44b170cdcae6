"""Schedules: when an agent runs by itself, its next times, and what each due time led to."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from agents.models import Schedule, ScheduleFiring
from agents.models.schedule import FiringState
from agents.schedules import services
from kernel.admin.base import ConsoleAdmin, Question
from kernel.admin.formatting import BADGES

PAUSE = Question(
    title="Pause this schedule?",
    explains="It starts no runs until it is resumed. Runs that have started are executed.",
    verb="Pause",
    applies=lambda schedule: not schedule.is_paused,
    otherwise="This schedule is paused already.",
)
RESUME = Question(
    title="Resume this schedule?",
    explains="It starts runs again at its next time. Times since it was paused are not made up.",
    verb="Resume",
    applies=lambda schedule: schedule.is_paused,
    otherwise="This schedule is not paused.",
)
CRON = (
    "Minute, hour, day of the month, month, day of the week: 0 9 * * mon-fri is nine o'clock on "
    "working days. Or @hourly, @daily, @weekly, @monthly, @yearly."
)
NEWEST = 20
FIRING_BADGES = {
    FiringState.STARTED.label: "success",
    FiringState.SKIPPED.label: "warning",
    FiringState.FAILED.label: "danger",
}


class HistoryInline(TabularInline):
    """The newest due times, each with its run."""

    model = ScheduleFiring
    fields = ("due_at", "outcome", "error_code", "run_link")
    readonly_fields = fields
    ordering = ("-due_at",)
    per_page = NEWEST
    extra = 0
    hide_title = True
    can_delete = False
    verbose_name_plural = "history"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduleFiring]:
        rows: QuerySet[ScheduleFiring] = super().get_queryset(request)
        return rows.select_related("run", "schedule")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="Outcome", label=FIRING_BADGES)
    def outcome(self, firing: ScheduleFiring) -> str:
        return str(firing.get_state_display())

    @display(description="Run", empty_value="-")
    def run_link(self, firing: ScheduleFiring) -> str | None:
        if firing.run is None:
            return None
        address = reverse("admin:agents_run_change", args=(firing.run_id,))
        return format_html(
            '<a class="text-link" href="{}">{}</a> {}',
            address,
            firing.run.public_id,
            firing.run.get_state_display(),
        )


@admin.register(Schedule)
class ScheduleAdmin(ConsoleAdmin):
    list_display = ("name", "tenant", "agent", "cron", "time_zone", "status", "next_at", "last_at")
    list_filter = (
        ("tenant", AutocompleteSelectFilter),
        ("agent", AutocompleteSelectFilter),
        "is_paused",
    )
    list_select_related = ("tenant", "agent")
    search_fields = ("name", "public_id__exact", "tenant__slug")
    autocomplete_fields = ("tenant", "agent", "api_key")
    fields = ("tenant", "name", "agent", "api_key", "input", "cron", "time_zone", "missed")
    inlines = (HistoryInline,)
    actions_detail = ("pause", "resume")
    questions = {"pause": PAUSE, "resume": RESUME}
    deleted_together = frozenset({"schedule firing"})
    when_empty = "Create a schedule, and an agent runs by itself: each morning, each hour."

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("public_id", "status", "next_runs", *self.fields) if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("public_id", "status", "next_runs", "tenant") if obj else ()

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.inlines if obj else ()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "input":
            field.widget.attrs["rows"] = 4
        if db_field.name == "cron":
            field.help_text = CRON
        return field

    @display(description="Status", label={"paused": "warning", **BADGES})
    def status(self, schedule: Schedule) -> str:
        return "paused" if schedule.is_paused else "active"

    @display(description="Next runs")
    def next_runs(self, schedule: Schedule) -> str:
        times = services.upcoming_times(schedule)
        lines = ((f"{each:%a %Y-%m-%d %H:%M} {each.tzname()}",) for each in times)
        return format_html_join("", "{}<br>", lines) or "none while it is paused"

    def create_row(self, *, row: Any, form: Any) -> Schedule:
        names = ("name", "input", "cron", "time_zone", "missed")
        return services.create_schedule(
            tenant=row.tenant,
            agent=row.agent,
            api_key=row.api_key,
            **{name: getattr(row, name) for name in names},
        )

    def update_row(self, *, row: Any, form: Any) -> None:
        services.save_schedule(schedule=row)

    def delete_row(self, *, row: Any) -> None:
        services.delete_schedule(schedule=row)

    @action(description="Pause", icon="pause")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(schedule: Schedule) -> HttpResponse:
            services.pause_schedule(schedule=schedule)
            return self.redirect_with_message(request, schedule, "The schedule is paused.")

        return self.confirm(request, object_id, question=PAUSE, act=act)

    @action(description="Resume", icon="play_arrow")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(schedule: Schedule) -> HttpResponse:
            services.resume_schedule(schedule=schedule)
            return self.redirect_with_message(request, schedule, "The schedule is active again.")

        return self.confirm(request, object_id, question=RESUME, act=act)
