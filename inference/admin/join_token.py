"""The admin of join tokens. They are displayed once; they can be blocked but not changed."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action

from inference.endpoints import join_tokens
from inference.models import JoinToken, ModelPool
from inference.models.pool import EngineKind
from kernel.admin.base import SECRET, OneTimeSecret, Question
from kernel.admin.token_admin import TokenAdmin

BLOCK = Question(
    title="Block this join token?",
    explains="Engines can no longer register with it, and those that did expire when they next "
    "report. A blocked token stays blocked: make a new one to let engines in again.",
    verb="Block",
    dangerous=True,
    applies=lambda token: token.blocked_at is None,
    otherwise="This join token is blocked already.",
)
COMMAND = """TENANTRY_JOIN_TOKEN={secret} \\
TENANTRY_CONSOLE_URL={url} \\
python manage.py serve_model {route} --engine {engine} --model PATH_OR_NAME"""


def serve_command(*, pool: ModelPool, secret: str) -> str:
    """Return a command that starts an engine for `pool`."""
    route = pool.routes.values_list("name", flat=True).first()
    return command_for(engine=pool.engine, route=route or "ROUTE", secret=secret)


def command_for(*, engine: str, route: str, secret: str) -> str:
    """Return a command that starts an engine for `route`.

    `serve_model` cannot start other OpenAI-compatible servers: the command for them names vLLM.
    """
    started = EngineKind.VLLM if engine == EngineKind.OPENAI else engine
    return COMMAND.format(secret=secret, url=settings.CONSOLE_URL, route=route, engine=started)


@admin.register(JoinToken)
class JoinTokenAdmin(TokenAdmin):
    list_display = ("name", "pool", "prefix", "state", "last_used_at", "created_at")
    list_filter = ("pool",)
    list_select_related = ("pool",)
    search_fields = ("name", "public_id", "pool__name")
    autocomplete_fields = ("pool",)
    fields = ("name", "pool")
    displayed_fields = ("name", "pool", "prefix", "state", "last_used_at", "created_at")
    token_kind = join_tokens.JOIN_TOKEN
    questions = {"block": BLOCK}
    when_empty = "Create a join token for a pool. It is displayed once, with the command to run."

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        token, secret = join_tokens.issue_join_token(pool=obj.pool, name=obj.name)
        vars(obj).update(vars(token))
        setattr(request, SECRET, secret)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        secret = getattr(request, SECRET)
        one_time = OneTimeSecret(
            title="Copy this join token now",
            secret=secret,
            explains=f"Engines can join the pool {obj.pool} with it. It is displayed only now: the "
            "platform stores a digest of it.",
            command=serve_command(pool=obj.pool, secret=secret),
        )
        return self.show_once(request, obj, one_time)

    @action(description="Block", icon="block")
    def block(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(token: JoinToken) -> HttpResponse:
            join_tokens.block_join_token(token=token, now=timezone.now())
            return self.redirect_with_message(request, token, f"{token} is blocked.")

        return self.confirm(request, object_id, question=BLOCK, act=act)
