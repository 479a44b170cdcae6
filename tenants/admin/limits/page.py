"""The page of a tenant's limits in force and their usage, which refreshes itself."""

from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from kernel.admin.base import ConsoleAdmin, Question
from kernel.errors import NotFound
from tenants.admin.limits.forms import AmountField
from tenants.admin.limits.links import limits_address
from tenants.admin.limits.view import owners_of, view_limits
from tenants.counters.view import read_live_view, recent_refusals
from tenants.limits import services as limit_services
from tenants.limits.amounts import read_amount
from tenants.limits.formatting import amount_words, quota_words, scope_words, with_reach
from tenants.limits.report import QuotaReport, find_quota_line, report_limits
from tenants.models import Tenant
from tenants.models.limit_rules import MAX_AMOUNT
from tenants.owner_names import key_names, owner_names

HTMX = "HX-Request"


class TopUpForm(forms.Form):
    """The amount and reason of a top-up. The idempotency key makes a second submit harmless."""

    unit = ""
    """Unit of the quota, set by a subclass."""
    amount = AmountField(help_text="In the unit of the quota. Cost in the currency, such as 12.50.")
    reason = forms.CharField(
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="Stored with the top-up and in the audit log.",
    )
    key = forms.CharField(
        max_length=100, widget=forms.HiddenInput, initial=lambda: f"console-{uuid4()}"
    )

    def clean_amount(self) -> int:
        try:
            return read_amount(self.cleaned_data["amount"], unit=self.unit, max_amount=MAX_AMOUNT)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error


def top_up_form(unit: str) -> type[TopUpForm]:
    return type("TopUpForm", (TopUpForm,), {"unit": unit})


class LimitsPage(ConsoleAdmin):
    """The admin of tenants with a page of limits for each."""

    @action(description="Limits", icon="speed", url_path="limits")
    def limits(self, request: HttpRequest, object_id: str) -> HttpResponse:
        tenant = self.find(request, object_id)
        live = live_context(tenant)
        if HTMX in request.headers:
            return TemplateResponse(request, "tenants/limits_live.html", live)
        more = {"title": f"Limits of {tenant}", "add": add_addresses(tenant), **live}
        return self.page(request, tenant, template="tenants/limits.html", context=more)

    def get_urls(self) -> list[Any]:
        """Return Django's URLs and that of top-ups, which needs a counter and so is no action."""
        view = self.admin_site.admin_view(self.top_up)
        place = path("<int:object_id>/top-up/", view, name="tenants_tenant_top_up")
        return [place, *super().get_urls()]

    def top_up(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask for an amount and a reason, then grant it to the counter in the URL."""
        tenant = self.find(request, str(object_id))
        counter, window = request.GET.get("counter", ""), request.GET.get("window", "")
        line = find_quota(tenant, counter=counter, window=window)

        def act(tenant: Tenant, *, amount: int, reason: str, key: str) -> HttpResponse:
            limit_services.grant_top_up(
                tenant_id=tenant.pk,
                counter=counter,
                window=window,
                amount=amount,
                reason=reason,
                by=request.user,  # type: ignore[arg-type]
                now=timezone.now(),
                key=key,
            )
            granted = f"{amount_words(amount, line.rule.unit)} granted on top: {reason}"
            self.log_change(request, tenant, granted)
            self.message_user(request, granted, messages.SUCCESS)
            return HttpResponseRedirect(limits_address(tenant.pk))

        question = top_up_question(line, counter)
        return self.confirm(
            request,
            str(object_id),
            question=question,
            act=act,
            form=top_up_form(line.rule.unit),
            context={"back": limits_address(tenant.pk)},
        )


def live_context(tenant: Tenant) -> dict[str, Any]:
    """Return the context of the part of the page that refreshes itself."""
    report = report_limits(tenant, now=timezone.now(), live=read_live_view(tenant.pk))
    refusals = recent_refusals(tenant.pk)
    names = owner_names(tenant.pk, owners_of(report))
    refused = key_names(tenant.pk, {each.owner for each in refusals})
    return {
        "report": report,
        "tenant": tenant,
        "refusals": [
            (each, scope_words(each.scope) or "all requests", refused.get(each.owner, each.owner))
            for each in refusals
        ],
        **view_limits(report, names=names),
    }


def find_quota(tenant: Tenant, *, counter: str, window: str) -> QuotaReport:
    """Return the quota in force with this counter and window. Raises Http404."""
    try:
        return find_quota_line(tenant, counter=counter, window=window, now=timezone.now())
    except NotFound as error:
        raise Http404 from error


def top_up_question(line: QuotaReport, counter: str) -> Question:
    rule = line.rule
    assert line.window is not None
    reach = scope_words(counter.rpartition("|")[0])
    words = quota_words(
        limit=rule.limit,
        unit=rule.unit,
        period=rule.calendar.period,
        every=rule.calendar.every,
    )
    return Question(
        title="Grant a top-up?",
        explains=f"It is added to {with_reach(words, reach)} within a second, until the window "
        f"ends at {line.window.end:%Y-%m-%d %H:%M} UTC. It cannot be undone.",
        verb="Grant",
    )


def add_addresses(tenant: Tenant) -> dict[str, str]:
    """Return the URLs of the forms that add a limit of this tenant."""
    query = f"?tenant={tenant.pk}&from=limits"
    return {
        "quota": reverse("admin:tenants_quota_add") + query,
        "rate": reverse("admin:tenants_ratelimit_add") + query,
    }
