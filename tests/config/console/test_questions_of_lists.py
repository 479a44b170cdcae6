"""No list of the console asks more of PostgreSQL because it has more rows."""

from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from agents import services as agents
from agents.rollout_services import start_rollout
from inference import join_tokens, services, static_endpoints
from tenants import services as tenants
from tenants.models import Membership
from tests.fixtures.console import make_event, make_person
from tests.fixtures.conversations import erase_another, make_approval
from tests.fixtures.limits_shown import make_limits
from tests.fixtures.scaling import make_policy
from tests.fixtures.tools import make_tool

LISTS = {
    name: reverse(name)
    for opts in (model._meta for model in admin.site._registry)
    for name in (f"admin:{opts.app_label}_{opts.model_name}_changelist",)
}


def add_more(number: int) -> None:
    """Of everything that grows, one more."""
    tenant = tenants.create_tenant(slug=f"tenant-{number}", name=f"Tenant {number}")
    tenants.issue_key(tenant=tenant, name="production")
    make_event(tenant)
    pool = services.create_pool(name=f"pool-{number}", engine="vllm")
    route = services.create_route(name=f"route-{number}", pool=pool)
    join_tokens.issue_join_token(pool=pool, name=f"rack {number}")
    static_endpoints.add_static_endpoint(
        pool=pool, address=f"http://10.0.0.{number}:8000", model="smollm2"
    )
    make_policy(pool)
    user = make_person(tenant, Membership.Role.ADMIN)
    agent = agents.create_agent(tenant=tenant, slug="helper", name="Helper", route=route)
    agents.publish(agent=agent, user=user)
    agent.instructions = "Be brief."
    agents.save_draft(agent=agent)
    start_rollout(agent=agent, share=5)
    make_tool(tenant)
    make_limits(tenant)
    make_approval(tenant)
    erase_another(tenant)


def questions(console) -> dict[str, int]:
    """How many queries each list takes."""
    found = {}
    for name, address in LISTS.items():
        with CaptureQueriesContext(connection) as captured:
            assert console.get(address).status_code == 200
        found[name] = len(captured)
    return found


def test_more_rows_are_not_more_questions(console):
    add_more(1)
    before = questions(console)
    for number in range(2, 7):
        add_more(number)
    after = questions(console)
    assert {name: (before[name], after[name]) for name in LISTS if after[name] > before[name]} == {}
