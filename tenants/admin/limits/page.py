"""The page of a tenant's limits: what is in force and how it stands, refreshed while it is open."""

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
from tenants.limits.report import QuotaLine, find_quota_line, report_limits
from tenants.models import Tenant
from tenants.models.limit_rules import MAX_AMOUNT
from tenants.owner_names import key_names, owner_names

HTMX = "HX-Request"


class TopUpForm(forms.Form):
    """How much more, and why. The key makes a second click grant nothing."""

    unit = ""
    """Of the quota; of each page's own class."""
    amount = AmountField(help_text="In the unit of the quota; of cost in the currency: 12.50.")
    reason = forms.CharField(
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="Why. It is kept with the top-up and in the audit log.",
    )
    key = forms.CharField(
        max_length=100, widget=forms.HiddenInput, initial=lambda: f"console-{uuid4()}"
    )

    def clean_amount(self) -> int:
        try:
            return read_amount(self.cleaned_data["amount"], unit=self.unit, most=MAX_AMOUNT)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error


def top_up_form(unit: str) -> type[TopUpForm]:
    return type("TopUpForm", (TopUpForm,), {"unit": unit})


class LimitsPage(ConsoleAdmin):
    """A tenant's page with a second one behind it: its limits."""

    @action(description="Limits", icon="speed", url_path="limits")
    def limits(self, request: HttpRequest, object_id: str) -> HttpResponse:
        tenant = self.find(request, object_id)
        shown = limits_shown(tenant)
        if HTMX in request.headers:
            return TemplateResponse(request, "tenants/limits_live.html", shown)
        more = {"title": f"Limits of {tenant}", "add": add_addresses(tenant), **shown}
        return self.page(request, tenant, template="tenants/limits.html", context=more)

    def get_urls(self) -> list[Any]:
        """As Django's, and the question before a top-up: about a counter, so it has no button."""
        view = self.admin_site.admin_view(self.top_up)
        place = path("<int:object_id>/top-up/", view, name="tenants_tenant_top_up")
        return [place, *super().get_urls()]

    def top_up(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Asks for an amount and a reason, then grants it to the counter of the address."""
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
        return self.ask_first(
            request,
            str(object_id),
            question=question,
            act=act,
            form=top_up_form(line.rule.unit),
            context={"back": limits_address(tenant.pk)},
        )


def limits_shown(tenant: Tenant) -> dict[str, Any]:
    """What the part of the page that refreshes itself shows."""
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


def find_quota(tenant: Tenant, *, counter: str, window: str) -> QuotaLine:
    """The quota in force that counts there now. Raises Http404."""
    try:
        return find_quota_line(tenant, counter=counter, window=window, now=timezone.now())
    except NotFound as error:
        raise Http404 from error


def top_up_question(line: QuotaLine, counter: str) -> Question:
    rule = line.rule
    assert line.window is not None
    whose = scope_words(counter.rpartition("|")[0])
    words = quota_words(
        limit=rule.limit,
        unit=rule.unit,
        period=rule.calendar.period,
        every=rule.calendar.every,
    )
    return Question(
        title="Grant a top-up?",
        explains=f"It comes on top of {with_reach(words, whose)} within a second, "
        f"and is over with the window at {line.window.end:%Y-%m-%d %H:%M} UTC. It cannot be taken "
        "back.",
        verb="Grant",
    )


def add_addresses(tenant: Tenant) -> dict[str, str]:
    """Where a limit of this tenant is added."""
    asked = f"?tenant={tenant.pk}&from=limits"
    return {
        "quota": reverse("admin:tenants_quota_add") + asked,
        "rate": reverse("admin:tenants_ratelimit_add") + asked,
    }
