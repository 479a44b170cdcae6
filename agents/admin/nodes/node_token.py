"""The admin of node tokens. They are displayed once; they can be blocked but not changed."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display

from agents.models import NodeToken
from agents.nodes import tokens
from kernel.admin.base import SECRET, OneTimeSecret, Question
from kernel.admin.formatting import separated
from kernel.admin.token_admin import TokenAdmin

BLOCK = Question(
    title="Block this node token?",
    explains="Agent nodes can no longer register with it, and those that did are drained. A "
    "blocked token stays blocked: create another one to let nodes in again.",
    verb="Block",
    dangerous=True,
    applies=lambda token: token.blocked_at is None,
    otherwise="This node token is blocked already.",
)
COMMAND = """TENANTRY_NODE_TOKEN={secret} \\
python manage.py agent_node"""


@admin.register(NodeToken)
class NodeTokenAdmin(TokenAdmin):
    list_display = ("name", "prefix", "state", "use_count", "last_used_at", "created_at")
    search_fields = ("name", "public_id")
    fields = ("name", "max_uses")
    displayed_fields = ("name", "prefix", "state", "use_count", "last_used_at", "created_at")
    token_kind = tokens.NODE_TOKEN
    questions = {"block": BLOCK}
    when_empty = "Create a node token. It is displayed once, with the command that starts a node."

    @display(description="Registrations")
    def use_count(self, token: NodeToken) -> str:
        uses = separated(token.uses)
        return uses if token.max_uses is None else f"{uses} of {separated(token.max_uses)}"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        token, secret = tokens.issue_node_token(name=obj.name, max_uses=obj.max_uses)
        vars(obj).update(vars(token))
        setattr(request, SECRET, secret)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        secret = getattr(request, SECRET)
        one_time = OneTimeSecret(
            title="Copy this node token now",
            secret=secret,
            explains="Agent nodes register with it. It is displayed only now: the platform stores "
            "a digest of it.",
            command=COMMAND.format(secret=secret),
        )
        return self.show_once(request, obj, one_time)

    @action(description="Block", icon="block")
    def block(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(token: NodeToken) -> HttpResponse:
            tokens.block_node_token(token=token, now=timezone.now())
            return self.redirect_with_message(request, token, f"{token} is blocked.")

        return self.confirm(request, object_id, question=BLOCK, act=act)
