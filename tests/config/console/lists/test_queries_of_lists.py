"""No list of the console asks more of PostgreSQL because it has more rows."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from inference import services
from inference.endpoints import join_tokens
from inference.endpoints import manual as static_endpoints
from tenants import services as tenants
from tests.fixtures.console.one_of_everything import add_one_of_each
from tests.fixtures.fleet.scaling import make_policy
from tests.fixtures.nodes import register

LISTS = {
    name: reverse(name)
    for opts in (model._meta for model in admin.site._registry)
    for name in (f"admin:{opts.app_label}_{opts.model_name}_changelist",)
}


def add_more(number: int) -> None:
    """Of everything that grows, one more."""
    tenant = tenants.create_tenant(slug=f"tenant-{number}", name=f"Tenant {number}")
    pool = services.create_pool(name=f"pool-{number}", engine="vllm")
    route = services.create_route(name=f"route-{number}", pool=pool)
    join_tokens.issue_join_token(pool=pool, name=f"rack {number}")
    static_endpoints.add_static_endpoint(
        pool=pool, address=f"http://10.0.0.{number}:8000", model="smollm2"
    )
    make_policy(pool)
    register(f"node-{number}")
    add_one_of_each(tenant, route)


def questions(console) -> dict[str, int]:
    """How many queries each list takes."""
    found = {}
    for name, address in LISTS.items():
        with CaptureQueriesContext(connection) as captured:
            assert console.get(address).status_code == 200
        found[name] = len(captured)
    return found


@pytest.mark.slow
def test_more_rows_are_not_more_questions(console):
    add_more(1)
    before = questions(console)
    for number in range(2, 7):
        add_more(number)
    after = questions(console)
    assert {name: (before[name], after[name]) for name in LISTS if after[name] > before[name]} == {}
