"""Pages that import tools from an OpenAPI document or an MCP server."""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from unfold.decorators import action

from agents.admin.tools.import_forms import ChooseForm, McpForm, OfferForm, OpenApiForm
from agents.schema.tool_candidates import ToolCandidates
from agents.tool_library.discovery import fetch_document, find_on_server, find_operations
from agents.tool_library.imports import ImportCandidate, ImportOptions, candidates_of, import_tools
from agents.tool_library.pending_imports import (
    ImportCandidates,
    delete_offer,
    load_offer,
    store_offer,
)
from kernel.admin.base import ConsoleAdmin, add_refusals
from tenants.models import Tenant

OPENAPI = (
    "Every operation of an OpenAPI 3 document can become a tool. Choose the operations on the "
    "next page."
)
MCP = "The server's tools are listed. Choose the tools to import on the next page."
GONE = (
    "This list has expired: it is stored for half an hour, for the user who requested it. "
    "Import again."
)


class ToolImports(ConsoleAdmin):
    """The import actions of the list of tools."""

    def get_urls(self) -> Any:
        choose = path(
            "offers/<str:name>/",
            self.admin_site.admin_view(self.choose),
            name="agents_tool_choose",
        )
        return [choose, *super().get_urls()]

    @action(description="Import from OpenAPI", icon="upload_file", url_path="import-openapi")
    def openapi(self, request: HttpRequest) -> HttpResponse:
        return self.source_page(
            request, OpenApiForm, find=find_in_document, title="Import from OpenAPI", intro=OPENAPI
        )

    @action(description="Import from MCP", icon="hub", url_path="import-mcp")
    def mcp(self, request: HttpRequest) -> HttpResponse:
        return self.source_page(
            request, McpForm, find=find_on_mcp, title="Import from an MCP server", intro=MCP
        )

    def source_page(
        self,
        request: HttpRequest,
        kind: type[OfferForm],
        *,
        find: Callable[[Any], ToolCandidates],
        title: str,
        intro: str,
    ) -> HttpResponse:
        self.ensure_may_import(request)
        form = kind(request.POST, request.FILES) if request.method == "POST" else kind()
        pending: list[str] = []

        def store(tenant: Any) -> None:
            cleaned = form.cleaned_data
            offer = ImportCandidates(
                user=person_of(request),
                tenant=tenant.pk,
                offer=find(form),
                prefix=cleaned["beginning"],
                secret=cleaned["new_credential"],
            )
            pending.append(store_offer(offer))

        if form.is_bound and form.is_valid():
            add_refusals(form, store, form.cleaned_data["tenant"])
        if pending:
            return HttpResponseRedirect(reverse("admin:agents_tool_choose", args=pending))
        context = {"title": title, "intro": intro, "form": form}
        return self.import_page(request, "agents/tool_offer.html", context)

    def choose(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show what can be imported. A POST with a selection creates the tools."""
        self.ensure_may_import(request)
        pending = load_offer(name, user=person_of(request))
        tenant = Tenant.objects.filter(pk=pending.tenant).first() if pending else None
        if pending is None or tenant is None:
            self.message_user(request, GONE, "warning")
            return self.back_to_list()
        candidates = candidates_of(pending.offer, tenant=tenant, prefix=pending.prefix)
        possible = [each.name for each in candidates if not each.problem]
        form = ChooseForm(request, possible, other_hosts_of(pending, candidates))
        if form.is_bound and form.is_valid() and self.make(request, tenant, pending, form):
            delete_offer(name)
            return self.back_to_list()
        context = {
            "title": f"Tools for {tenant}",
            "form": form,
            "candidates": candidates,
            "chosen": request.POST.getlist("names") if form.is_bound else None,
            "skipped": pending.offer.skipped,
            "credential_host": pending.offer.credential_host if pending.secret else "",
            "has_credential": bool(pending.secret),
            "again": reverse(
                f"admin:agents_tool_{'mcp' if pending.offer.kind == 'mcp' else 'openapi'}"
            ),
            "possible": len(possible),
        }
        return self.import_page(request, "agents/tool_choice.html", context)

    def make(
        self, request: HttpRequest, tenant: Tenant, pending: ImportCandidates, form: ChooseForm
    ) -> bool:
        """Create the tools. False if that fails; the form then has the errors."""
        cleaned = form.cleaned_data
        options = ImportOptions(
            prefix=pending.prefix,
            secret=pending.secret,
            credential_hosts=frozenset(cleaned["credential_hosts"]),
            needs_approval=cleaned["needs_approval"],
            timeout_seconds=cleaned["timeout_seconds"],
        )
        try:
            made = import_tools(
                tenant=tenant, offer=pending.offer, names=cleaned["names"], options=options
            )
        except ValidationError as error:
            form.add_error(None, error.messages)
            return False
        self.message_user(
            request, f"Tools created: {len(made)}. Add them to the tools of an agent to use them."
        )
        return True

    def import_page(
        self, request: HttpRequest, template: str, context: dict[str, Any]
    ) -> TemplateResponse:
        own = {"opts": self.opts, "back": reverse("admin:agents_tool_changelist")}
        return TemplateResponse(
            request, template, {**self.admin_site.each_context(request), **own, **context}
        )

    def ensure_may_import(self, request: HttpRequest) -> None:
        if not self.has_add_permission(request):
            raise PermissionDenied

    def back_to_list(self) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:agents_tool_changelist"))


def other_hosts_of(pending: ImportCandidates, candidates: Iterable[ImportCandidate]) -> list[str]:
    """Return hosts that get the credential only if selected. Empty without a credential."""
    hosts = {each.host for each in candidates if not each.is_credential_host and each.host}
    return sorted(hosts) if pending.secret else []


def person_of(request: HttpRequest) -> int:
    assert request.user.pk is not None, "only authenticated users reach this view"
    return request.user.pk


def find_in_document(form: OpenApiForm) -> ToolCandidates:
    """Raises ValidationError."""
    cleaned = form.cleaned_data
    url, text = cleaned["url"], cleaned["document"].encode(errors="replace")
    if cleaned["file"] is not None:
        text = cleaned["file"].read()
    if not text:
        text = fetch_document(url=url)
    return find_operations(text=text, source=url, credential=form.credential)


def find_on_mcp(form: McpForm) -> ToolCandidates:
    """Raises ValidationError."""
    return find_on_server(url=form.cleaned_data["url"], credential=form.credential)
