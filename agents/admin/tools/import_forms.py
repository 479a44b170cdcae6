"""Forms of the pages that import tools."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.http import HttpRequest
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from agents.runtime.tools.http.openapi_text import MAX_DOCUMENT_BYTES
from agents.schema.tool_candidates import Credential
from tenants.models import Tenant

MAX_PASTED_CHARS = 2_000_000
MAX_PREFIX_CHARS = 30
PREFIX = RegexValidator(r"\A[A-Za-z0-9_-]*\Z", "Letters, digits, - and _ only.")


def text_field(*, label: str = "", help_text: str = "", **more: Any) -> forms.CharField:
    return forms.CharField(
        **{
            "label": label or None,
            "help_text": help_text,
            "required": False,
            "widget": UnfoldAdminTextInputWidget,
            **more,
        }
    )


class OfferForm(forms.Form):
    """The tenant, the names of the tools, and their credential."""

    tenant = forms.ModelChoiceField(
        queryset=Tenant.objects.order_by("slug"), widget=UnfoldAdminSelectWidget
    )
    beginning = text_field(
        label="Name prefix",
        help_text="Put before each tool's name, for example pets_, to avoid names that are taken.",
        max_length=MAX_PREFIX_CHARS,
        validators=[PREFIX],
    )
    new_credential = text_field(
        label="Credential",
        help_text="Sent with each call. It is stored encrypted and never shown again.",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )
    credential_header = text_field(
        label="Credential header", initial="authorization", required=True, max_length=100
    )
    credential_prefix = text_field(
        label="Credential prefix",
        help_text='Put before the credential in the header. Usually "Bearer" and a space.',
        initial="Bearer ",
        strip=False,
        max_length=100,
    )

    @property
    def credential(self) -> Credential:
        return Credential(
            secret=self.cleaned_data["new_credential"],
            header=self.cleaned_data["credential_header"],
            prefix=self.cleaned_data["credential_prefix"],
        )


class OpenApiForm(OfferForm):
    """Exactly one document: a URL, a file or a text."""

    url = text_field(
        label="Document URL",
        help_text="Or the URL that the text below came from, if its server URLs are relative.",
        max_length=2000,
    )
    file = forms.FileField(
        required=False,
        widget=UnfoldAdminFileFieldWidget,
        help_text=f"JSON or YAML, at most {MAX_DOCUMENT_BYTES // 2**20} MiB.",
    )
    document = text_field(
        label="Document text",
        strip=False,
        max_length=MAX_PASTED_CHARS,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "spellcheck": "false"}),
    )
    field_order = ("tenant", "url", "file", "document")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        given = [name for name in ("file", "document") if cleaned.get(name)]
        if len(given) > 1:
            self.add_error("document", "Provide a file or a text, not both.")
        elif not given and not cleaned.get("url") and not self.errors:
            self.add_error("url", "Provide a URL, a file or a text.")
        file = cleaned.get("file")
        if file is not None and file.size > MAX_DOCUMENT_BYTES:
            self.add_error("file", f"It is longer than {MAX_DOCUMENT_BYTES // 2**20} MiB.")
        return cleaned


class McpForm(OfferForm):
    """An MCP server."""

    url = text_field(
        label="Server URL",
        help_text="For example https://mcp.example.org/mcp. Its tools are listed on the next page.",
        required=True,
        max_length=2000,
    )
    field_order = ("tenant", "url")


class ChooseForm(forms.Form):
    """The tools to create, and the settings that they share."""

    names = forms.MultipleChoiceField(
        error_messages={"required": "Choose at least one."},
    )
    credential_hosts = forms.MultipleChoiceField(
        label="Also send the credential to these hosts",
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Some operations of the document call other hosts than its own server. A host "
        "gets the credential only if you select it.",
    )
    timeout_seconds = forms.IntegerField(
        label="Timeout (seconds)",
        min_value=1,
        max_value=600,
        initial=20,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    needs_approval = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Whether a person must approve each call before it is executed.",
    )

    def __init__(
        self, request: HttpRequest, possible: Iterable[str], other_hosts: Iterable[str] = ()
    ) -> None:
        super().__init__(request.POST if request.method == "POST" else None)
        names: Any = self.fields["names"]
        names.choices = [(each, each) for each in possible]
        hosts: Any = self.fields["credential_hosts"]
        hosts.choices = [(each, each) for each in other_hosts]
