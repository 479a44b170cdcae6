"""Receipts of erasures, and the action that erases all data of a tenant."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from agents.erasure.service import request_tenant_erasure
from agents.models import ErasureReceipt
from agents.tasks import finish_erasures
from kernel.admin.base import Question, ReadOnlyAdmin
from kernel.admin.bounded_lists import UncountedPaginator
from kernel.admin.formatting import BADGES
from tenants.models import Tenant

ERASE = Question(
    title="Erase all conversations of a tenant?",
    explains="Deletes all of its conversations, responses, runs and approvals from the database "
    "and from Redis. Keys, agents and limits stay, and the ledger keeps its counts. "
    "This cannot be undone.",
    verb="Erase all",
    dangerous=True,
)


class TenantForm(forms.Form):
    tenant = forms.ModelChoiceField(
        queryset=Tenant.objects.order_by("slug"), widget=UnfoldAdminSelectWidget
    )
    short_name = forms.CharField(
        widget=UnfoldAdminTextInputWidget,
        help_text="Repeat the tenant's short name to confirm the erasure.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        tenant = cleaned.get("tenant")
        if tenant is not None and cleaned.get("short_name") != tenant.slug:
            self.add_error("short_name", "This is not the tenant's short name.")
        return cleaned


@admin.register(ErasureReceipt)
class ErasureReceiptAdmin(ReadOnlyAdmin):
    list_display = ("erased_at", "status", "kind", "target", "tenant", "erased", "requested_by")
    list_filter = ("kind", ("tenant", AutocompleteSelectFilter))
    list_select_related = ("tenant",)
    search_fields = ("public_id__exact", "target__exact", "requested_by__exact")
    search_help_text = (
        "The whole id of a receipt or of the erased object, or the name of the requester."
    )
    fields = (
        *("public_id", "status", "kind", "target", "tenant_name", "erased", "requested_by"),
        *("erased_at", "finished_at"),
    )
    paginator = UncountedPaginator
    list_fullwidth = True
    actions_list = ("erase_tenant",)
    when_empty = "No erasures yet. Receipts have counts, but no content."

    @display(description="Status", label=BADGES)
    def status(self, receipt: ErasureReceipt) -> str:
        return "completed" if receipt.finished_at else "in progress"

    @display(description="Tenant", empty_value="deleted")
    def tenant_name(self, receipt: ErasureReceipt) -> str | None:
        tenant = Tenant.objects.filter(pk=receipt.tenant_id).first()
        return tenant.name if tenant else None

    @display(description="Erased")
    def erased(self, receipt: ErasureReceipt) -> str:
        counts = sorted(receipt.counts.items())
        words = [counted(kind.replace("_", " "), count) for kind, count in counts if count]
        return ", ".join(words) or "nothing"

    @action(description="Erase a tenant's data", icon="delete_forever")
    def erase_tenant(self, request: HttpRequest) -> HttpResponse:
        form = TenantForm(request.POST if request.method == "POST" else None)
        if form.is_bound and form.is_valid():
            receipt = request_tenant_erasure(
                form.cleaned_data["tenant"].pk, by=request.user.get_username()
            )
            finish_erasures.apply_async(expires=60)
            self.message_user(request, "The erasure has started. This is its receipt.")
            return HttpResponseRedirect(self.address_of(receipt))
        return TemplateResponse(
            request,
            "console/confirm.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": ERASE.title,
                "question": ERASE,
                "form": form,
                "back": reverse("admin:agents_erasurereceipt_changelist"),
            },
        )


def counted(kind: str, count: int) -> str:
    """Format a count with its unit: `1 run`, `1,200 runs`."""
    return f"{count:,} {kind.removesuffix('s') if count == 1 else kind}"
