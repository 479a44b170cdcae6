"""`manage.py seed_demo`: a tenant, an agent, a key and an operator to begin with."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from agents.models import Agent
from agents.services import create_agent, publish
from config.settings.base import env
from inference.endpoints.join_tokens import issue_join_token
from inference.endpoints.manual import delete_endpoint
from inference.models import JoinToken, ModelPool, ModelRoute
from inference.services import create_pool, create_route
from kernel.env_file import read_env_file, write_exports, write_private_file
from tenants.api_keys.keys import key_matches, parse_key, pepper_name
from tenants.limits.services import (
    save_plan,
    save_plan_quota,
    save_plan_rate_limit,
    save_quota,
    set_plan,
)
from tenants.models import ApiKey, Plan, PlanQuota, PlanRateLimit, Quota, Tenant, User
from tenants.scoping import tenant_scope
from tenants.services import block_key, create_tenant, issue_key

OPERATOR = "operator"
TENANT = "demo"
AGENT = "assistant"
MODEL = "smollm2"
CONTEXT_LENGTH = 2048
PLAN = "Starter"
NAME = "demo"
"""Of the key and the join token that belong to this command."""

BUDGET = "budget"
"""The key whose quota can be tried."""

INSTRUCTIONS = "You are a friendly assistant. Answer in one or two short sentences."


class Command(BaseCommand):
    help = "Create the demo tenant, plan, agent, API key and operator; leaves alone what is there."

    def handle(self, **_: Any) -> None:
        home = Path(settings.HOME)
        password = env.required_secret(
            "TENANTRY_OPERATOR_PASSWORD", says="Password of the operator that is created first."
        )
        with transaction.atomic():
            operator = ensure_operator(password)
            pool = ensure_pool()
            route = ensure_route(pool)
            tenant = ensure_tenant(ensure_plan())
            ensure_agent(tenant, route=route, operator=operator)
            forget_ended_engines(pool)
            token = renew_join_token(pool)
            demo = home / "demo.env"
            known = read_env_file(demo)
            key = ensure_key(tenant, name=NAME, known=known.get("TENANTRY_API_KEY", ""))
            budget = ensure_key(tenant, name=BUDGET, known=known.get("TENANTRY_BUDGET_KEY", ""))
            ensure_budget(tenant, key=budget)
        write_private_file(home / "join-token", token)
        about = "To `source` in scripts. Written by `manage.py seed_demo`."
        write_exports(demo, demo_values(password=password, key=key, budget=budget), about=about)


def demo_values(*, password: str, key: str, budget: str) -> dict[str, str]:
    """Exactly the variables that CONTRACT §1 promises."""
    return {
        "TENANTRY_CONSOLE_URL": settings.CONSOLE_URL,
        "TENANTRY_GATEWAY_URL": settings.GATEWAY_URL,
        "TENANTRY_OPERATOR": OPERATOR,
        "TENANTRY_OPERATOR_PASSWORD": password,
        "TENANTRY_API_KEY": key,
        "TENANTRY_BUDGET_KEY": budget,
        "TENANTRY_MODEL": MODEL,
        "TENANTRY_AGENT": AGENT,
    }


def ensure_operator(password: str) -> User:
    """The operator. If somebody changed the password, it stays changed."""
    known = User.objects.filter(username=OPERATOR).first()
    return known or User.objects.create_superuser(OPERATOR, email="", password=password)


def ensure_pool() -> ModelPool:
    known = ModelPool.objects.filter(name=MODEL).first()
    return known or create_pool(name=MODEL, engine="llamacpp")


def ensure_route(pool: ModelPool) -> ModelRoute:
    known = ModelRoute.objects.filter(name=MODEL).first()
    return known or create_route(name=MODEL, pool=pool, context_length=CONTEXT_LENGTH)


def ensure_plan() -> Plan:
    """Limits that show what limits are, and that nobody who tries things out runs into."""
    known = Plan.objects.filter(name=PLAN).first()
    if known:
        return known
    plan = Plan(name=PLAN, description="What a new tenant begins with.")
    save_plan(plan=plan)
    rate = PlanRateLimit(plan=plan, requests_per_minute=60_000, tokens_per_minute=100_000_000)
    save_plan_rate_limit(rule=rate)
    save_plan_quota(rule=PlanQuota(plan=plan, limit=1_000_000_000), now=timezone.now())
    return plan


def ensure_tenant(plan: Plan) -> Tenant:
    """The demo tenant. Only a new one is put on the plan: what somebody chose stays."""
    known = Tenant.objects.filter(slug=TENANT).first()
    if known:
        return known
    tenant = create_tenant(slug=TENANT, name="Demo tenant")
    set_plan(tenant=tenant, plan=plan, now=timezone.now())
    return tenant


def ensure_agent(tenant: Tenant, *, route: ModelRoute, operator: User) -> None:
    with tenant_scope(tenant.pk):
        if Agent.objects.filter(slug=AGENT).exists():
            return
    agent = create_agent(
        tenant=tenant,
        slug=AGENT,
        name="Assistant",
        instructions=INSTRUCTIONS,
        route=route,
        parameters={},
    )
    publish(agent=agent, note="First revision", user=operator)


def forget_ended_engines(pool: ModelPool) -> None:
    """Of an earlier start: its engine and that engine's key are gone, it just could not say so.

    An engine that does run is told so at its next heartbeat, and registers again.
    """
    for endpoint in pool.endpoints.filter(registered=True):
        delete_endpoint(endpoint=endpoint)


def renew_join_token(pool: ModelPool) -> str:
    """A new token at every start: the old one's text is known to nobody but a stopped process."""
    JoinToken.objects.filter(pool=pool, name=NAME).delete()
    _, text = issue_join_token(pool=pool, name=NAME)
    return text


def ensure_budget(tenant: Tenant, *, key: str) -> None:
    """A key that may ask fifty times an hour, to try what a quota does."""
    text = parse_key(key)
    with tenant_scope(tenant.pk):
        row = ApiKey.objects.get(public_id=text.public_id if text else "")
        if Quota.objects.filter(api_key=row).exists():
            return
        quota = Quota(
            tenant=tenant, per="key", api_key=row, unit="requests", limit=50, period="hour"
        )
        save_quota(rule=quota, now=timezone.now())


def ensure_key(tenant: Tenant, *, name: str, known: str) -> str:
    """The key of `demo.env` if it still opens the door; else a new one, and the old is blocked."""
    with tenant_scope(tenant.pk):
        issued = list(ApiKey.objects.filter(name=name, blocked_at=None))
    if any(is_text_of(key, text=known) for key in issued):
        return known
    for lost in issued:
        block_key(key=lost, now=timezone.now())
    return issue_key(tenant=tenant, name=name).secret


def is_text_of(key: ApiKey, *, text: str) -> bool:
    """Whether the gateway would take `text` for `key`."""
    parsed = parse_key(text)
    peppers = {pepper_name(pepper): pepper for pepper in settings.KEY_PEPPERS}
    if parsed is None or parsed.public_id != key.public_id or key.pepper not in peppers:
        return False
    return key_matches(parsed, digest=bytes(key.digest), pepper=peppers[key.pepper])
