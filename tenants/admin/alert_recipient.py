"""Recipients of notifications. A webhook's secret is displayed once."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from kernel.admin.base import SECRET, ConsoleAdmin, OneTimeSecret, Question
from kernel.admin.formatting import BADGES
from kernel.errors import Conflict
from kernel.signatures import SIGNATURE_HEADER, signing_key
from tenants.models import AlertRecipient
from tenants.notifications import recipients

RENEW = Question(
    title="Create a new secret?",
    explains="All further messages are signed with it. Receivers that verify signatures need it.",
    verb="Create a new secret",
    dangerous=True,
)
UNSIGNED = "Only messages to webhooks are signed. E-mail has no secret."
CHECK = """# Computes v1 of {header} for the headers webhook-id and webhook-timestamp, and the body:
printf '%s.%s.%s' "$id" "$timestamp" "$body" \\
  | openssl dgst -sha256 -mac HMAC -macopt hexkey:{key} -binary | base64"""


@admin.register(AlertRecipient)
class AlertRecipientAdmin(ConsoleAdmin):
    list_display = ("address", "tenant", "kind", "state", "last_delivered_at", "last_error")
    list_filter = ("kind", "enabled", ("tenant", AutocompleteSelectFilter))
    list_select_related = ("tenant",)
    search_fields = ("address", "tenant__slug")
    autocomplete_fields = ("tenant",)
    fields = ("tenant", "kind", "address", "enabled", "on_reset")
    actions_detail = ("renew",)
    when_empty = (
        "Add an e-mail address or a webhook that gets an alert when a quota is nearly used up."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertRecipient]:
        # Without the secret, so that the page works even if the encryption key is lost.
        rows: QuerySet[AlertRecipient] = super().get_queryset(request).defer("secret")
        return rows

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("tenant", "kind", "last_delivered_at", "last_error") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.fields, "last_delivered_at", "last_error") if obj else self.fields

    @display(description="Status", label=BADGES, ordering="enabled")
    def state(self, recipient: AlertRecipient) -> str:
        return "active" if recipient.enabled else "off"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        setattr(request, SECRET, recipients.save_recipient(recipient=obj))

    def delete_row(self, *, row: Any) -> None:
        recipients.delete_recipient(recipient=row)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        return self.show_new(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        return self.show_new(request, obj) or super().response_change(request, obj)

    def show_new(self, request: HttpRequest, recipient: AlertRecipient) -> HttpResponse | None:
        """Return a page with the secret if it is new: of a new webhook, or after a new address."""
        secret = getattr(request, SECRET)
        return self.show(request, recipient, secret) if secret else None

    def show(self, request: HttpRequest, recipient: AlertRecipient, secret: str) -> HttpResponse:
        secret_page = OneTimeSecret(
            title="Copy this secret now",
            secret=secret,
            explains=f"It signs messages to {recipient}. It is displayed only now.",
            command=CHECK.format(header=SIGNATURE_HEADER, key=signing_key(secret).hex()),
        )
        return self.show_once(request, recipient, secret_page)

    @action(description="New secret", icon="autorenew")
    def renew(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(recipient: AlertRecipient) -> HttpResponse:
            if recipient.kind != AlertRecipient.Kind.WEBHOOK:
                raise Conflict(UNSIGNED)
            secret = recipients.rotate_signing_secret(recipient=recipient)
            self.log_change(request, recipient, "Created a new secret.")
            return self.show(request, recipient, secret)

        return self.confirm(request, object_id, question=RENEW, act=act)
