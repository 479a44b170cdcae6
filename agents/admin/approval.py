"""Approvals: tool calls that need a person's decision."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from agents.admin.transcript_items import items_of_run
from agents.errors import ApprovalResolved
from agents.models import Approval
from agents.models.choices import ApprovalState
from agents.models.conversation import PENDING_FIRST
from agents.runs import approvals
from agents.tasks import APPROVAL_TIMEOUT
from kernel.admin.base import Question, ReadOnlyAdmin
from kernel.admin.bounded_lists import UncountedPaginator
from kernel.admin.formatting import BADGES
from kernel.admin.forms import reason_form
from tenants.models import ApiKey, Membership

SHORT = 80
APPROVE = Question(
    title="Approve this call?",
    explains="The tool is called with these arguments, and the run continues.",
    verb="Approve",
    applies=lambda approval: approval.state == ApprovalState.PENDING,
    otherwise="This call has been decided already.",
)
DENY = Question(
    title="Deny this call?",
    explains="The tool is not called. The model gets your reason, and the run continues.",
    verb="Deny",
    dangerous=True,
    applies=APPROVE.applies,
    otherwise=APPROVE.otherwise,
)


ReasonForm = reason_form(max_chars=approvals.MAX_REASON_CHARS)


@admin.register(Approval)
class ApprovalAdmin(ReadOnlyAdmin):
    list_display = (
        *("tool", "status", "called_with", "tenant", "agent", "run"),
        *("resolved_by", "created_at"),
    )
    list_filter = ("state", ("tenant", AutocompleteSelectFilter))
    list_select_related = ("tenant", "run")
    search_fields = ("public_id__exact", "run__public_id__exact", "tool__exact")
    search_help_text = "The whole id of an approval or a run, or a tool's name."
    paginator = UncountedPaginator
    fields = (
        *("public_id", "tenant", "run", "agent", "caller"),
        *("tool", "whole_call", "note", "status", "resolved_by", "reason"),
        *("created_at", "resolved_at"),
    )
    actions_detail = ("approve", "deny")
    questions = {"approve": APPROVE, "deny": DENY}
    change_form_before_template = "agents/approval.html"
    change_form_after_template = "agents/transcript.html"
    actions_row = ("approve", "deny")
    when_empty = "No approvals. Calls of tools that need approval appear here."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Approval]:
        # Checkpoints may be large, and no page shows them.
        rows: QuerySet[Approval] = super().get_queryset(request).defer("run__checkpoint")
        return rows

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        return (PENDING_FIRST.asc(), "-created_at")

    @display(description="Status", label=BADGES, ordering="state")
    def status(self, approval: Approval) -> str:
        return str(approval.get_state_display())

    @display(description="Agent", ordering="run__agent")
    def agent(self, approval: Approval) -> str:
        run = approval.run
        return f"{run.agent}@{run.agent_revision}" if run.agent_revision else run.agent

    @display(description="Called by")
    def caller(self, approval: Approval) -> str:
        key = ApiKey.objects.filter(pk=approval.run.api_key_id or 0).first()
        member = Membership.objects.filter(pk=approval.run.member_id or 0).first()
        known = [f"API key {key}" if key else "", f"member {member.user}" if member else ""]
        return ", ".join(name for name in known if name) or "unknown: its key is deleted"

    @display(description="Arguments")
    def called_with(self, approval: Approval) -> str:
        text = json.dumps(approval.arguments, ensure_ascii=False)
        return text if len(text) <= SHORT else f"{text[:SHORT]}…"

    @display(description="Arguments")
    def whole_call(self, approval: Approval) -> SafeString:
        text = json.dumps(approval.arguments, indent=2, ensure_ascii=False)
        return format_html('<pre class="console-code console-result">{}</pre>', text)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """Extend Django's view with the decision and its deadline."""
        approval = self.get_object(request, object_id)
        waits = approval is not None and approval.state == ApprovalState.PENDING
        until = approval.created_at + APPROVAL_TIMEOUT if waits else None
        transcript = items_of_run(approval.run, request) if approval is not None else {}
        extra = {"approval": approval, "until": until, **transcript}
        context = {**(kwargs.get("extra_context") or {}), **extra}
        kwargs["extra_context"] = context
        return super().change_view(request, object_id, *args, **kwargs)

    @action(description="Approve", icon="check_circle", url_path="approve")
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.decide(request, object_id, question=APPROVE, decision="approved")

    @action(description="Deny", icon="block", url_path="deny")
    def deny(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.decide(request, object_id, question=DENY, decision="denied")

    def decide(
        self,
        request: HttpRequest,
        object_id: str,
        *,
        question: Question,
        decision: approvals.Decision,
    ) -> HttpResponse:
        def act(approval: Approval, *, reason: str) -> HttpResponse:
            by = request.user.get_username()
            if not approvals.resolve(approval=approval, by=by, decision=decision, reason=reason):
                raise ApprovalResolved
            return self.redirect_with_message(
                request, approval, f"The call of {approval.tool} is {decision}."
            )

        context: dict[str, Any] = {"approval": self.find(request, object_id)}
        return self.confirm(
            request, object_id, question=question, act=act, form=ReasonForm, context=context
        )
