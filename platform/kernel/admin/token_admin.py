"""The admin of tokens that are displayed once; they can be blocked but not changed."""

from typing import Any

from django.http import HttpRequest
from unfold.decorators import display

from kernel.admin.base import ConsoleAdmin
from kernel.admin.formatting import BADGES


class TokenAdmin(ConsoleAdmin):
    """Subclasses create, display and block the tokens."""

    token_kind: str
    """The beginning of the tokens' text."""
    displayed_fields: tuple[str, ...]
    """The fields of a token that exists."""
    actions_detail = ("block",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.displayed_fields if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.displayed_fields if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="Begins with")
    def prefix(self, token: Any) -> str:
        return f"{self.token_kind}_{token.public_id}"

    @display(description="Status", label=BADGES)
    def state(self, token: Any) -> str:
        return "blocked" if token.blocked_at else "active"
