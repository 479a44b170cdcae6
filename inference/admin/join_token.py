"""Join tokens: shown once, with a command that uses them; blocked, never deleted or changed."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display

from inference.endpoints import join_tokens
from inference.models import JoinToken, ModelPool
from inference.models.pool import Engine
from kernel.admin.base import SECRET, ConsoleAdmin, OneTimeSecret, Question
from kernel.admin.formatting import BADGES

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
    """A command that starts an engine for `pool`."""
    route = pool.routes.values_list("name", flat=True).first()
    return command_for(engine=pool.engine, route=route or "ROUTE", secret=secret)


def command_for(*, engine: str, route: str, secret: str) -> str:
    """A command that starts an engine for `route`; servers of other makes are not started by us."""
    started = Engine.VLLM if engine == Engine.OPENAI else engine
    return COMMAND.format(secret=secret, url=settings.CONSOLE_URL, route=route, engine=started)


@admin.register(JoinToken)
class JoinTokenAdmin(ConsoleAdmin):
    list_display = ("name", "pool", "prefix", "state", "last_used_at", "created_at")
    list_filter = ("pool",)
    list_select_related = ("pool",)
    search_fields = ("name", "public_id", "pool__name")
    autocomplete_fields = ("pool",)
    fields = ("name", "pool")
    actions_detail = ("block",)
    questions = {"block": BLOCK}
    when_empty = "Make a join token for a pool. Its text is shown once, with the command to run."

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.fields, "prefix", "state", "last_used_at", "created_at")[: None if obj else 2]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="Begins with")
    def prefix(self, token: JoinToken) -> str:
        return f"{join_tokens.JOIN_TOKEN}_{token.public_id}"

    @display(description="Status", label=BADGES)
    def state(self, token: JoinToken) -> str:
        return "blocked" if token.blocked_at else "active"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        token, secret = join_tokens.issue_join_token(pool=obj.pool, name=obj.name)
        vars(obj).update(vars(token))
        setattr(request, SECRET, secret)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        secret = getattr(request, SECRET)
        shown = OneTimeSecret(
            title="Copy this join token now",
            secret=secret,
            explains=f"It lets engines join the pool {obj.pool}. It is shown this one time: only "
            "a digest of it is stored.",
            command=serve_command(pool=obj.pool, secret=secret),
        )
        return self.show_once(request, obj, shown)

    @action(description="Block", icon="block")
    def block(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(token: JoinToken) -> HttpResponse:
            join_tokens.block_join_token(token=token, now=timezone.now())
            return self.done(request, token, f"{token} is blocked.")

        return self.ask_first(request, object_id, question=BLOCK, act=act)
