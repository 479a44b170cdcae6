"""`manage.py seed_demo`: creates a tenant, an agent, a key and an operator."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from agents.models import Agent, NodeToken
from agents.nodes.tokens import issue_node_token
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
"""The name of the key and of the tokens of this command."""

BUDGET = "budget"
"""The name of the key with a small quota."""

INSTRUCTIONS = "You are a friendly assistant. Answer in one or two short sentences."


class Command(BaseCommand):
    help = "Create the demo tenant, plan, agent, API key and operator. Existing ones do not change."

    def handle(self, **_: Any) -> None:
        home = Path(settings.HOME)
        password = env.required_secret(
            "TENANTRY_OPERATOR_PASSWORD", description="Password of the first operator."
        )
        with transaction.atomic():
            operator = ensure_operator(password)
            pool = ensure_pool()
            route = ensure_route(pool)
            tenant = ensure_tenant(ensure_plan())
            ensure_agent(tenant, route=route, operator=operator)
            forget_ended_engines(pool)
            token = renew_join_token(pool)
            node_token = renew_node_token()
            demo = home / "demo.env"
            known = read_env_file(demo)
            key = ensure_key(tenant, name=NAME, known=known.get("TENANTRY_API_KEY", ""))
            budget = ensure_key(tenant, name=BUDGET, known=known.get("TENANTRY_BUDGET_KEY", ""))
            ensure_budget(tenant, key=budget)
        write_private_file(home / "join-token", token)
        write_private_file(home / "node-token", node_token)
        about = "To `source` in scripts. Written by `manage.py seed_demo`."
        write_exports(demo, demo_values(password=password, key=key, budget=budget), about=about)


def demo_values(*, password: str, key: str, budget: str) -> dict[str, str]:
    """Exactly the variables that are documented (operations.md, "The demo's variables")."""
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
    """Return the operator. A changed password is not reset."""
    known = User.objects.filter(username=OPERATOR).first()
    return known or User.objects.create_superuser(OPERATOR, email="", password=password)


def ensure_pool() -> ModelPool:
    known = ModelPool.objects.filter(name=MODEL).first()
    return known or create_pool(name=MODEL, engine="llamacpp")


def ensure_route(pool: ModelPool) -> ModelRoute:
    known = ModelRoute.objects.filter(name=MODEL).first()
    return known or create_route(name=MODEL, pool=pool, context_length=CONTEXT_LENGTH)


def ensure_plan() -> Plan:
    """Create the plan, with limits that are high enough for a demo."""
    known = Plan.objects.filter(name=PLAN).first()
    if known:
        return known
    plan = Plan(name=PLAN, description="The plan of new tenants.")
    save_plan(plan=plan)
    rate = PlanRateLimit(plan=plan, requests_per_minute=60_000, tokens_per_minute=100_000_000)
    save_plan_rate_limit(rule=rate)
    save_plan_quota(rule=PlanQuota(plan=plan, limit=1_000_000_000), now=timezone.now())
    return plan


def ensure_tenant(plan: Plan) -> Tenant:
    """Return the demo tenant. Only a new one gets the plan, so that a changed plan stays."""
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
    """Delete the endpoints of earlier starts, whose engines could not unregister.

    An engine that still runs gets an error at its next heartbeat, and registers again.
    """
    for endpoint in pool.endpoints.filter(registered=True):
        delete_endpoint(endpoint=endpoint)


def renew_join_token(pool: ModelPool) -> str:
    """Create a new join token at every start, because the text of the old one is not stored."""
    JoinToken.objects.filter(pool=pool, name=NAME).delete()
    _, text = issue_join_token(pool=pool, name=NAME)
    return text


def renew_node_token() -> str:
    """Create a new node token at every start, for the same reason."""
    NodeToken.objects.filter(name=NAME).delete()
    _, text = issue_node_token(name=NAME)
    return text


def ensure_budget(tenant: Tenant, *, key: str) -> None:
    """Give the key a quota of fifty requests per hour, as an example of a quota."""
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
    """Return the key of `demo.env` if it is still valid; else a new one, and block the old one."""
    with tenant_scope(tenant.pk):
        issued = list(ApiKey.objects.filter(name=name, blocked_at=None))
    if any(is_text_of(key, text=known) for key in issued):
        return known
    for lost in issued:
        block_key(key=lost, now=timezone.now())
    return issue_key(tenant=tenant, name=name).secret


def is_text_of(key: ApiKey, *, text: str) -> bool:
    """Return whether `text` is the valid text of `key`."""
    parsed = parse_key(text)
    peppers = {pepper_name(pepper): pepper for pepper in settings.KEY_PEPPERS}
    if parsed is None or parsed.public_id != key.public_id or key.pepper not in peppers:
        return False
    return key_matches(parsed, digest=bytes(key.digest), pepper=peppers[key.pepper])
