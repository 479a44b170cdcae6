"""Tasks: state, the chosen agent with its explanation, and links to the run and its node."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from agents.admin.conversation import primary_key_of
from agents.admin.recent_agents import AgentFilter
from agents.models import AgentNode, Task
from agents.models.choices import TERMINAL
from agents.schema.routing.tasks import task_state
from agents.tenant_tasks.cancellation import cancel_task
from kernel.admin.base import Question, ReadOnlyAdmin
from kernel.admin.bounded_lists import UncountedPaginator
from kernel.admin.formatting import BADGES

STATE_LABELS = {
    "requires_approval": "waiting for approval",
    "running": "in progress",
}
REASON_LABELS = {
    "chosen": "success",
    "paused": "warning",
    "no_node": "danger",
    "input_refused": "warning",
}
CANCEL = Question(
    title="Cancel this task?",
    explains="Its run stops within a second, on whichever node it is. Its output so far is stored.",
    verb="Cancel the task",
    applies=lambda task: (
        task.run is not None
        and task.run.state not in TERMINAL
        and task.run.cancel_requested_at is None
    ),
    otherwise="This task has ended or is being cancelled already.",
)
MAX_CAPABILITIES_SHOWN = 3


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    list_display = (
        *("public_id", "status", "tenant", "agent", "requires", "priority", "deadline"),
        *("problem", "created_at"),
    )
    list_filter = ("run__state", ("tenant", AutocompleteSelectFilter), AgentFilter)
    list_select_related = ("tenant", "run")
    search_fields = ("public_id__startswith",)
    related_search = {"run": ("public_id__exact",)}
    search_help_text = "The beginning of a task's id, or the whole id of its run."
    paginator = UncountedPaginator
    # By id, which is the order of creation; no index over all tenants orders by time.
    ordering = ("-pk",)
    sortable_by = ()
    list_fullwidth = True
    fields = (
        *("public_id", "tenant", "requires_all", "requested_agent", "agent", "whole_input"),
        *("priority", "deadline", "idempotency_key", "callback_url", "callback_noticed_at"),
        *("metadata", "created_at"),
    )
    actions_detail = ("open_run", "cancel")
    questions = {"cancel": CANCEL}
    change_form_before_template = "agents/task.html"
    when_empty = "No tasks yet. Send `POST /v1/tasks`, and one appears here."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Task]:
        # Checkpoints may be large, and no page shows them.
        rows: QuerySet[Task] = super().get_queryset(request).defer("run__checkpoint")
        return rows

    @display(description="Status", label=BADGES)
    def status(self, task: Task) -> str:
        return label_of(task)

    @display(description="Requires", empty_value="-")
    def requires(self, task: Task) -> str | None:
        words = task.required_capabilities
        rest = len(words) - MAX_CAPABILITIES_SHOWN
        shown = ", ".join(words[:MAX_CAPABILITIES_SHOWN])
        return f"{shown} and {rest} more" if rest > 0 else shown or None

    @display(description="Required capabilities", empty_value="-")
    def requires_all(self, task: Task) -> str | None:
        return ", ".join(task.required_capabilities) or None

    @display(description="Problem", empty_value="-")
    def problem(self, task: Task) -> str | None:
        if task.run is None:
            return None
        return (task.run.error or {}).get("code") or task.run.incomplete_reason or None

    @display(description="Input")
    def whole_input(self, task: Task) -> SafeString:
        text = json.dumps(task.input, indent=2, ensure_ascii=False)
        shown = task.input if isinstance(task.input, str) else text
        return format_html('<pre class="console-code console-result">{}</pre>', shown)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """Extend Django's view with the run, its node, and the explanation of the choice."""
        rows = Task.objects.select_related("run").defer("run__checkpoint")
        task = rows.filter(pk=primary_key_of(object_id)).first()
        extra = {} if task is None else explained(task)
        kwargs["extra_context"] = {**(kwargs.get("extra_context") or {}), **extra}
        return super().change_view(request, object_id, *args, **kwargs)

    @action(description="Run", icon="directions_run")
    def open_run(self, request: HttpRequest, object_id: str) -> HttpResponse:
        task = self.find(request, object_id)
        if task.run_id is None:
            return self.redirect_with_message(request, task, "This task has no run yet.")
        return HttpResponseRedirect(reverse("admin:agents_run_change", args=(task.run_id,)))

    @action(description="Cancel", icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(task: Task) -> HttpResponse:
            done = cancel_task(task=task)
            message = "The task is being cancelled." if done else CANCEL.otherwise
            return self.redirect_with_message(request, task, message)

        return self.confirm(request, object_id, question=CANCEL, act=act)


def label_of(task: Task) -> str:
    """Return the state of a task as the console names it."""
    if task.run is None:
        return "not accepted yet"
    state = task_state(task.run.state, task.run.incomplete_reason)
    return STATE_LABELS.get(state, state)


def explained(task: Task) -> dict[str, Any]:
    """Return the facts of a task that its page shows above the fields."""
    worker = task.run.worker if task.run else ""
    return {
        "task": task,
        "state": label_of(task),
        "node": AgentNode.objects.filter(worker=worker).first() if worker else None,
        "explanation": task.explanation,
        "candidates": [
            {
                **each,
                "words": each["code"].replace("_", " "),
                "label": REASON_LABELS.get(each["code"], "default"),
            }
            for each in task.explanation.get("candidates", ())
        ],
    }
