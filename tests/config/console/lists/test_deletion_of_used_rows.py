"""Deleting what others use is refused with their names, links to them, and what to do next."""

from html import unescape

import pytest
from django.urls import reverse

from agents import services as agents
from inference import services as inference
from inference.models import ModelPool
from inference.route_targets import WantedTarget
from tenants import services
from tenants.models import Plan


def read(console, row, how="get"):
    place = reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_delete", args=(row.pk,))
    return unescape(getattr(console, how)(place, {"post": "yes"}).content.decode())


def link(row):
    place = reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=(row.pk,))
    return f'<a href="{place}">{row}</a>'


@pytest.fixture
def plan(acme):
    plan = Plan.objects.create(name="Basic")
    type(acme).objects.filter(pk=acme.pk).update(plan=plan)
    return plan


@pytest.mark.parametrize("how", ["get", "post"])
def test_a_plan_names_its_tenants(console, plan, acme, how):
    text = read(console, plan, how)
    assert "Basic is protected" in text
    assert link(acme) in text
    assert "Assign another plan" in text
    assert "permission" not in text


def test_a_route_names_the_agents_and_revisions_that_use_it(console, acme, route, operator):
    agent = agents.create_agent(tenant=acme, slug="kefu", name="Kefu", route=route)
    revision = agents.publish(agent=agent, user=operator)
    text = read(console, route)
    assert link(agent) in text
    assert link(revision) in text
    assert "disable the route" in text
    assert "permission" not in text


@pytest.mark.parametrize("is_fallback", [False, True])
def test_a_pool_names_its_routes(console, pool, is_fallback):
    large = inference.create_pool(name="large", engine="vllm")
    route = inference.create_route(
        name="chat",
        pool=pool if is_fallback else large,
        targets=(WantedTarget(pool=large),) if is_fallback else (),
    )
    text = read(console, large)
    assert text.count(link(route)) == 1
    assert "Choose another pool in these routes" in text


def test_several_are_refused_together(console, pool, route):
    unused = inference.create_pool(name="unused", engine="vllm")
    place = reverse("admin:inference_modelpool_changelist")
    body = {"action": "delete_selected", "_selected_action": [pool.pk, unused.pk], "post": "yes"}
    text = unescape(console.post(place, body).content.decode())
    assert "The selection is protected" in text
    assert link(route) in text
    assert ModelPool.objects.count() == 2


def test_of_many_users_some_are_named(console, plan):
    for number in range(25):
        tenant = services.create_tenant(slug=f"shop-{number}", name=f"Shop {number}")
        type(tenant).objects.filter(pk=tenant.pk).update(plan=plan)
    assert "and 6 more" in read(console, plan)
