"""Pages that make tools of what others offer: an OpenAPI document, an MCP server."""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from unfold.decorators import action

from agents.admin.tools.import_forms import ChooseForm, McpForm, OfferForm, OpenApiForm
from agents.schema.tool_candidates import Offer
from agents.tool_library.discovery import fetch_document, find_on_server, find_operations
from agents.tool_library.imports import Candidate, Terms, candidates_of, import_tools
from agents.tool_library.pending_imports import (
    ImportCandidates,
    find_offer,
    forget_offer,
    keep_offer,
)
from kernel.admin.base import ConsoleAdmin, add_refusals
from tenants.models import Tenant

OPENAPI = (
    "Every operation of an OpenAPI 3 document can become a tool. Choose which on the next page."
)
MCP = "The server is asked for its tools. Choose on the next page which of them agents may call."
GONE = "This list is not kept any more: it is for half an hour, and for who asked. Ask again."


class ToolImports(ConsoleAdmin):
    """What the list of tools offers beside making one by hand."""

    def get_urls(self) -> Any:
        choose = path(
            "offers/<str:name>/",
            self.admin_site.admin_view(self.choose),
            name="agents_tool_choose",
        )
        return [choose, *super().get_urls()]

    @action(description="Import from OpenAPI", icon="upload_file", url_path="import-openapi")
    def openapi(self, request: HttpRequest) -> HttpResponse:
        return self.ask_for_offer(
            request, OpenApiForm, find=find_in_document, title="Import from OpenAPI", says=OPENAPI
        )

    @action(description="Import from MCP", icon="hub", url_path="import-mcp")
    def mcp(self, request: HttpRequest) -> HttpResponse:
        return self.ask_for_offer(
            request, McpForm, find=find_on_mcp, title="Import from an MCP server", says=MCP
        )

    def ask_for_offer(
        self,
        request: HttpRequest,
        kind: type[OfferForm],
        *,
        find: Callable[[Any], Offer],
        title: str,
        says: str,
    ) -> HttpResponse:
        self.ensure_may_import(request)
        form = kind(request.POST, request.FILES) if request.method == "POST" else kind()
        kept: list[str] = []

        def keep(tenant: Any) -> None:
            cleaned = form.cleaned_data
            offer = ImportCandidates(
                user=person_of(request),
                tenant=tenant.pk,
                offer=find(form),
                prefix=cleaned["beginning"],
                secret=cleaned["new_credential"],
            )
            kept.append(keep_offer(offer))

        if form.is_bound and form.is_valid():
            add_refusals(form, keep, form.cleaned_data["tenant"])
        if kept:
            return HttpResponseRedirect(reverse("admin:agents_tool_choose", args=kept))
        context = {"title": title, "says": says, "form": form}
        return self.import_page(request, "agents/tool_offer.html", context)

    def choose(self, request: HttpRequest, name: str) -> HttpResponse:
        """The offer with what can be made of it; after a choice, the tools."""
        self.ensure_may_import(request)
        kept = find_offer(name, user=person_of(request))
        tenant = Tenant.objects.filter(pk=kept.tenant).first() if kept else None
        if kept is None or tenant is None:
            self.message_user(request, GONE, "warning")
            return self.back_to_list()
        candidates = candidates_of(kept.offer, tenant=tenant, prefix=kept.prefix)
        possible = [each.name for each in candidates if not each.problem]
        form = ChooseForm(request, possible, other_hosts_of(kept, candidates))
        if form.is_bound and form.is_valid() and self.make(request, tenant, kept, form):
            forget_offer(name)
            return self.back_to_list()
        context = {
            "title": f"Tools for {tenant}",
            "form": form,
            "candidates": candidates,
            "chosen": request.POST.getlist("names") if form.is_bound else None,
            "skipped": kept.offer.skipped,
            "credential_host": kept.offer.credential_host if kept.secret else "",
            "has_credential": bool(kept.secret),
            "again": reverse(
                f"admin:agents_tool_{'mcp' if kept.offer.kind == 'mcp' else 'openapi'}"
            ),
            "possible": len(possible),
        }
        return self.import_page(request, "agents/tool_choice.html", context)

    def make(
        self, request: HttpRequest, tenant: Tenant, kept: ImportCandidates, form: ChooseForm
    ) -> bool:
        """Whether the tools were made; if not, the form says why."""
        cleaned = form.cleaned_data
        terms = Terms(
            prefix=kept.prefix,
            secret=kept.secret,
            credential_hosts=frozenset(cleaned["credential_hosts"]),
            needs_approval=cleaned["needs_approval"],
            timeout_seconds=cleaned["timeout_seconds"],
        )
        try:
            made = import_tools(
                tenant=tenant, offer=kept.offer, names=cleaned["names"], terms=terms
            )
        except ValidationError as error:
            form.add_error(None, error.messages)
            return False
        word = "tool is" if len(made) == 1 else "tools are"
        self.message_user(request, f"{len(made)} {word} made. Agents call those that they name.")
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


def other_hosts_of(kept: ImportCandidates, candidates: Iterable[Candidate]) -> list[str]:
    """Hosts for which the credential is not meant, if there is one."""
    hosts = {each.host for each in candidates if not each.is_credential_host and each.host}
    return sorted(hosts) if kept.secret else []


def person_of(request: HttpRequest) -> int:
    assert request.user.pk is not None, "strangers are sent to the login"
    return request.user.pk


def find_in_document(form: OpenApiForm) -> Offer:
    """Raises ValidationError."""
    cleaned = form.cleaned_data
    url, text = cleaned["url"], cleaned["document"].encode(errors="replace")
    if cleaned["file"] is not None:
        text = cleaned["file"].read()
    if not text:
        text = fetch_document(url=url)
    return find_operations(text=text, source=url, credential=form.credential)


def find_on_mcp(form: McpForm) -> Offer:
    """Raises ValidationError."""
    return find_on_server(url=form.cleaned_data["url"], credential=form.credential)
